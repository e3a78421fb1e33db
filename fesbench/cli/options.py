"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ProtocolOption = Annotated[
    str, typer.Option(help="Protocol: a name such as ck+ or avatars@1, or a TOML file.")
]
DataOption = Annotated[
    str | None,
    typer.Option(help="Another data set under the same rules, e.g. --protocol ck+ --data avatars."),
]
SizeOption = Annotated[
    int | None, typer.Option(min=32, max=1024, help="Image side in pixels, if not the protocol's.")
]
OutOption = Annotated[Path, typer.Option(help="Folder of the records and the report.")]
BudgetOption = Annotated[
    str,
    typer.Option(
        help="smoke, short, standard, paper, steps=N or minutes=M; auto: standard on a GPU, else smoke."
    ),
]
