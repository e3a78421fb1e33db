"""Look for identities and images on two subsets of a protocol's split, also by their faces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fesbench.errors import DataError, LeakageError, UsageError
from fesbench.protocol.preparation import Rules

if TYPE_CHECKING:
    from fesbench.data.store.aligned import AlignedStore
    from fesbench.progress import Reporter


_PAIRS = 12


def check_subsets(store: AlignedStore, rules: Rules, faces: bool, reporter: Reporter) -> dict[str, Any]:
    """Look for subjects and images in two subsets of the protocol's split.

    Raises:
        LeakageError: there are some.
        UsageError: ``faces`` without a split to check.
    """
    from fesbench.data.splits.leakage import check_leakage
    from fesbench.protocol.split import build_splits

    if rules.protocol is None:
        if faces:
            raise UsageError("--faces compares the subsets of a split; name its --protocol")
        return {"protocol": None, "said": ["no protocol splits this data by itself, so no split was checked"]}
    try:
        # of a k-fold form as a whole every subject is tested: who leaks does so within a fold
        splits = build_splits(rules.protocol, store)
    except LeakageError:
        raise
    except DataError as error:
        # a small copy is prepared all the same; what cannot be run under the protocol is said by its run too
        if faces:
            raise
        return {"protocol": rules.protocol.name, "said": [f"no split was checked: {error}"]}
    with reporter.stage("check that nobody is in two subsets"):
        for split in splits:
            check_leakage(store.manifest, store.images, split)
    said = [f"no subject, file or image stands in two subsets of {rules.protocol.name}'s split"]
    found: dict[str, Any] = {"protocol": rules.protocol.name, "said": said}
    if not faces:
        return found
    from fesbench.data.contact_sheets import leakage_sheet
    from fesbench.data.splits.leakage import nearest_faces
    from fesbench.extractors.registry import extractor

    model = extractor("dlib")
    missing = model.available()
    if missing:
        raise DataError(f"--faces needs dlib's face model ({missing}); see 'fesbench doctor'")
    with reporter.stage("embed one face of each subject"):
        try:
            near = [pair for split in splits for pair in nearest_faces(store, split, _PAIRS, model.extract)]
        finally:
            model.close()
    once = {(pair.first, pair.second): pair for pair in near}
    pairs = sorted(once.values(), key=lambda pair: (pair.distance, pair.first, pair.second))[:_PAIRS]
    who = store.manifest.table["identity"]
    found["faces"] = [{**pair.__dict__, "people": (who[pair.first], who[pair.second])} for pair in pairs]
    if pairs:
        said.append(
            f"nearest faces of different subsets: {who[pairs[0].first]} and {who[pairs[0].second]} at "
            f"distance {pairs[0].distance:.2f} (images of one subject: usually below 0.6); look at "
            f"{leakage_sheet(store, pairs)}"
        )
    else:
        said.append("no faces to compare: there are no landmarks, or not in two subsets")
    return found
