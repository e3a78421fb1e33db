"""What the cells of one run share: protocol, data, split, requests, judge, feature cache.

Built once, before any method: the judge is trained on training identities alone and never by a cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fesbench.context.context import RunContext
from fesbench.judges.build import build_judge
from fesbench.progress import Reporter
from fesbench.protocol.data_folders import Sources, folders_of
from fesbench.protocol.protocol import Protocol
from fesbench.protocol.split import build_split, build_splits, refuse_one_subject

if TYPE_CHECKING:
    from fesbench.data.splits.assign import Split
    from fesbench.data.store.aligned import AlignedStore
    from fesbench.judges.action_units import ActionUnitRegressor
    from fesbench.judges.clips import ClipPanel
    from fesbench.judges.panel import JudgePanel


def open_store(protocol: Protocol, source: Sources, reporter: Reporter) -> AlignedStore:
    """The protocol's data, prepared now or found prepared; sets that are only tested on are joined to it.

    Args:
        protocol: says which data, and prepared how.
        source: the user's folder of the protocol's own data set, or a folder for each data set by name.
        reporter: shown the progress.

    Raises:
        UsageError: a folder for a data set that the protocol does not use.
    """
    from fesbench.data.prepare import prepare
    from fesbench.data.store.join import Part, join_stores

    rule = protocol.data
    folders = folders_of(source, rule, protocol.name)
    wanted = (rule.set, *(extra.set for extra in rule.test_sets))

    def prepared(name: str, alignment: str, options: Mapping[str, Any]) -> AlignedStore:
        with reporter.stage(f"prepare {name} at {rule.size} px") as stage:
            return prepare(
                name,
                size=rule.size,
                alignment=alignment,
                source=folders.get(name),
                options=options,
                progress=stage.update_what,
            )

    main = prepared(rule.set, rule.alignment, rule.options)
    parts = [Part(prepared(t.set, t.alignment, t.options), t.domain) for t in rule.test_sets]
    if not parts:
        return main
    with reporter.stage(f"join {' and '.join(wanted)}") as stage:
        return join_stores(main, parts, stage.update_what)


def settle_labels(protocol: Protocol, store: AlignedStore, split: Split) -> Protocol:
    """The protocol with those of its labels that the training subjects show; of a k-fold form those that they
    show in every fold, so that all folds ask for the same and their judges know the same labels.

    Raises:
        ProtocolError: fewer than two are left.
        DataError: see `build_split`.
    """
    if not protocol.labels:
        return protocol
    parts = build_splits(protocol, store) if protocol.split.n_folds else [split]
    shown = []
    for part in parts:
        table = store.manifest.table.iloc[part.rows(store.manifest, "train")]
        shown.append(set(table["expression"][table["domain"] == "in"]))
    return protocol.with_labels(set.intersection(*shown))


def build_context(
    protocol: Protocol,
    *,
    budget: str,
    out: Path,
    source: Sources = None,
    reporter: Reporter | None = None,
) -> RunContext:
    """Prepare everything that is shared, in the order of the pipeline.

    Raises:
        FesbenchError: data that cannot be had, a leak between the subsets, a judge that cannot be built.
    """
    from fesbench.data.splits.leakage import check_leakage
    from fesbench.extractors.cache import FeatureCache
    from fesbench.files import fesbench_home, locked
    from fesbench.judges.build import build_regressor, clips_judged, regressor_wanted
    from fesbench.judges.clip_training import build_clip_judges
    from fesbench.protocol.requests import build_requests
    from fesbench.records.fingerprints import engine_hash, hash_parts

    reporter = reporter or Reporter()
    store = open_store(protocol, source, reporter)
    split = build_split(protocol, store)
    refuse_one_subject(protocol, split)
    protocol = settle_labels(protocol, store, split)
    with reporter.stage("check that nobody is in two subsets"):
        check_leakage(store.manifest, store.images, split)
    requests, not_run = build_requests(protocol, store, split, budget)
    cache = FeatureCache(fesbench_home() / "features" / "features.sqlite")
    # the same training images and code give the same judges in every runs folder; two runs train them once
    made_of = hash_parts(protocol.hash, store.fingerprint, engine_hash("fesbench.judges"))
    judges = fesbench_home() / "judges" / f"{protocol.id.replace('/', '-')}-{made_of}"
    judge: JudgePanel | None = None
    card: dict[str, Any] = {}
    clip_judge: ClipPanel | None = None
    regressor: ActionUnitRegressor | None = None
    regressor_card: dict[str, Any] = {}
    with locked(judges / ".lock", lambda: reporter.note("another run makes these judges; waiting for it")):
        if protocol.labels:
            judge, card = build_judge(protocol, store, split, judges, reporter, budget)
        if judge is not None and clips_judged(protocol, requests):
            clip_judge = build_clip_judges(protocol, store, split, judge, cache, judges, reporter)
        if regressor_wanted(protocol, requests):
            regressor, regressor_card = build_regressor(protocol, store, split, judges, reporter)
    return RunContext(
        protocol,
        store,
        split,
        budget,
        requests,
        not_run,
        judge,
        card,
        cache,
        out,
        regressor,
        regressor_card,
        clip_judge,
    )
