"""Reading a table of the study in a test."""

from typing import Any

from scgcnet.study.show import Table


def rows(table: Table, **where: str) -> list[dict[str, Any]]:
    """Its rows, or those whose cells start so."""
    found = table.frame.to_dict("records")
    return [row for row in found if all(str(row[key]).startswith(value) for key, value in where.items())]
