"""Known: what is publicly known of a release that is evaluated: its epsilon, its noise, its completed schema.

Must never be computed from records: it is read from the release's own files, or from the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias, final

from privsynth import published
from privsynth.certificate.folder import CERTIFICATE
from privsynth.errors import InputError
from privsynth.metrics.rare import NoisyColumn
from privsynth.model import Model
from privsynth.privacy.unit import PrivacyUnit
from privsynth.report.numbers import Bought
from privsynth.schema import Schema

ReleaseLike: TypeAlias = Model | str | Path
"""A model, or the folder of a release."""

DATA = ("data.parquet", "data.csv")


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Known:
    """Public facts of a release. `columns` are what it was told of single columns; of a unit it used at most `bound` rows."""

    schema: Schema
    generator: str
    epsilon: float
    delta: float
    bound: PrivacyUnit
    columns: Mapping[str, NoisyColumn] = field(default_factory=dict)

    @classmethod
    def of(cls, release: ReleaseLike) -> Known:
        """Read a release's folder, or take a model's.

        Raises: CertificateError where a file of the folder was changed; InputError where it is no release of one table.
        """
        if isinstance(release, Model):
            schema, transcript, guarantee = release.schema, release.transcript, release.guarantee
            generator = release.generator
        elif isinstance(release, str | Path):
            found = published.read_release(release)
            schema, transcript, guarantee, generator = found.schema, found.transcript, found.guarantee, found.generator
        else:
            raise InputError("release is the folder of a release, or a Model; found neither")
        bought = Bought(transcript, schema.domain())
        columns = {}
        for name in schema.domain().attributes:
            best = bought.estimate((name,))
            if best is not None:
                columns[name] = NoisyColumn(counts=best.counts, sigma=best.sigma, total=bought.total)
        return cls(
            schema=schema,
            generator=generator,
            epsilon=guarantee.epsilon,
            delta=float(guarantee.delta),
            bound=guarantee.unit,
            columns=columns,
        )

    @property
    def unit(self) -> str:
        """Who is protected, in words."""
        return self.bound.name

    def to_json(self) -> dict[str, object]:
        """A JSON object."""
        return {
            "generator": self.generator,
            "epsilon": round(self.epsilon, 6),
            "delta": self.delta,
            "unit": self.unit,
            "rowsOfAUnit": None if self.bound.column is None else self.bound.max_rows,
        }


def is_release(source: object) -> bool:
    """Whether a source is the folder of a release."""
    return isinstance(source, str | Path) and (Path(source) / CERTIFICATE).is_file()


def data_of(folder: str | Path) -> Path:
    """The table of a release's folder.

    Raises: InputError when it holds none, as a release of several tables does.
    """
    for name in DATA:
        if (Path(folder) / name).is_file():
            return Path(folder) / name
    raise InputError(f'"{folder}" holds no {" and no ".join(DATA)}: it is no release of one table')
