"""HistoryModel: the fitted distributions of a database's views, with what they cost; drawing databases, saving, loading.

Must never hold or need a private record: everything here is post-processing of transcripts, but for `fit_history`, which
hands a private database to `measuring` and keeps what comes back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

import numpy as np
import numpy.typing as npt

from privsynth import choosing, frames, generators, published
from privsynth.answering import Answer, Evidence, ExpectedError
from privsynth.database import keys, writing
from privsynth.database.document import DatabaseSchema
from privsynth.database.held import Database
from privsynth.domain import Clique
from privsynth.errors import FitError, InputError, MechanismError, PolicyError, SchemaError
from privsynth.generator import AbstractDistribution
from privsynth.guarantee_files import guarantee_from_json, guarantee_to_json
from privsynth.histories import across, asking, deriving, drawing
from privsynth.histories.bounding import rows_used
from privsynth.histories.layout import views
from privsynth.histories.measuring import HistoryPlan, fit_distributions, measure, restore_distributions
from privsynth.measurement import Transcript
from privsynth.privacy.accounting import Exact
from privsynth.privacy.guarantee import Budget, Guarantee, decimal_up
from privsynth.privacy.source import AbstractNoiseSource
from privsynth.private import Private
from privsynth.provenance import UNCERTIFIED, Provenance, mark
from privsynth.transcript_files import (
    ARRAYS,
    DOCUMENT,
    arrays_from_bytes,
    checksum,
    transcript_from_files,
    transcript_to_files,
    write_model,
)

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT: Final = "privsynth-history-model/1"
DEFAULT_GENERATOR: Final = "latent_class"
"""What "auto" stands for: its conditional draws are exact, and it measures all pairs of a view at once."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HistorySample:
    """A synthetic database, its tables as they are released, and in how many rows each rule had to be mended.

    `tables` are in the schema's order, parents first; units that no source lists have none.
    """

    database: Database
    tables: Mapping[str, pa.Table]
    repaired: Mapping[str, int]


@final
class HistoryModel:
    """Distributions over the histories of units, with what they cost and what was learned.

    Privacy: drawing, saving and reading it spend nothing. `guarantee` is what the fit spent, for one unit with all rows it owns
        in all tables. A model from `fit_history` is uncertified: nothing made with it can be signed.
    Args: `used` is the number of rows of a unit that were used at most, by table; `transcripts` are by table.
    """

    def __init__(
        self,
        *,
        schema: DatabaseSchema,
        distributions: Mapping[str, AbstractDistribution],
        transcripts: Mapping[str, Transcript],
        guarantee: Guarantee,
        generator: str,
        settings: Mapping[str, object],
        used: Mapping[str, int],
        kind: str = frames.ARROW,
    ) -> None:
        self.schema = schema
        self.distributions = dict(distributions)
        self.transcripts = dict(transcripts)
        self.guarantee = guarantee
        self.generator = generator
        self.settings = dict(settings)
        self.used = dict(used)
        self._kind = kind
        self._evidence: dict[str, tuple[asking.Asked, Evidence]] = {}

    def __repr__(self) -> str:
        epsilon, delta = decimal_up(Fraction(self.guarantee.epsilon), 4), decimal_up(self.guarantee.delta, 15)
        return (
            f"HistoryModel({self.generator} of {self.schema.name}, {len(self.schema.tables)} tables, epsilon={epsilon}, "
            f"delta={delta}, unit={self.guarantee.unit.name}, uncertified)"
        )

    @property
    def transcript(self) -> Transcript:
        """All answers, table after table."""
        return tuple(entry for part in self.transcripts.values() for entry in part)

    @property
    def units(self) -> int:
        """The noisy number of units, at least 1."""
        root = self.distributions.get(self.schema.root.name)
        return 1 if root is None else max(1, round(root.total))

    def sample(self, n: int | None = None, *, rng: np.random.Generator) -> dict[str, Any]:
        """Draw n units with all their rows: {table: frame}, of the kind that the model was fitted on (Arrow for files).

        Args: `n` is by default the noisy number of units.
        """
        drawn = self.draw(n, rng=rng)
        return {name: frames.to_kind(table, self._kind) for name, table in drawn.tables.items()}

    def draw(self, n: int | None = None, *, rng: np.random.Generator) -> HistorySample:
        """Draw n units whose rows obey every rule; keys are made anew and link, derived columns are computed.

        Units that cannot be made to obey are left out and counted.
        Raises: InputError when n is no number of units; FitError when no unit obeys every rule.
        """
        wanted = self.units if n is None else n
        if isinstance(wanted, bool) or not isinstance(wanted, int) or wanted < 1:
            raise InputError(f"n is a whole number of units, at least 1; found {n!r}")
        if not isinstance(rng, np.random.Generator):
            raise InputError("rng must be a numpy Generator, such as np.random.default_rng()")
        drawn = drawing.draw(self.schema, self.distributions, wanted, rng)
        database, repaired = across.enforce(self.schema, drawn.database, rng=rng)
        new_keys = keys.regenerate(self.schema, database, rng)
        derived = deriving.derive(self.schema, database)
        says = Provenance(
            synthetic="all",
            origin=UNCERTIFIED,
            generator=self.generator,
            epsilon=self.guarantee.epsilon,
            table=self.schema.name,
        )
        return HistorySample(
            database=database,
            tables={name: mark(table, says) for name, table in writing.to_tables(database, new_keys, derived).items()},
            repaired={**drawn.repaired, **repaired},
        )

    def error(self, table: str, clique: Clique) -> ExpectedError:
        """Expected error of a table of these columns of one table's rows, from public numbers; see `ExpectedError`.

        Units: where a unit's rows count as one together, what is said of records is of units.
        Raises: InputError for a table or column that cannot be asked for.
        """
        asked, evidence = self._known(table)
        return asking.error_of(asked, evidence, clique)

    def answer(self, question: str, table: str | None = None) -> Answer:
        """The value of a share, mean, correlation or count of one real table, with a 90 % interval, from public numbers alone.

        Of the units' own table it is answered as of one table (`Model.answer`). Of any other, a unit's rows count as one
        together, however many they are: shares and means are answered; numbers of rows are not, but for "count.CHILD" of the
        table above, nor are correlations. A table's own columns can be asked for, and those above it as "TABLE.COLUMN". The
        first answer about a table takes a dozen refits.
        Args: `table` is by default that of the units.
        Raises: InputError or SchemaError for what cannot be read or is not known; FitError for what has no known errors.
        """
        asked, evidence = self._known(self.schema.root.name if table is None else table)
        return asking.answer(question, asked, evidence, self.used[asked.terms.name])

    def _known(self, table: str) -> tuple[asking.Asked, Evidence]:
        """What can be asked of a table, and what the answers rest on; kept."""
        if table not in self._evidence:
            asked = asking.asked_of(self.schema, table)
            kind = generators.get(self.generator, self.settings)
            distribution, transcript = self.distributions[table], self.transcripts[table]
            self._evidence[table] = asked, asking.evidence_of(asked, self.schema, kind, distribution, transcript)
        return self._evidence[table]

    @classmethod
    def from_release(cls, folder: str | Path) -> HistoryModel:
        """Fit again, from the public files of a release of several tables alone, the model that its tables were drawn from.

        The files must be those that the folder's certificate names; who signed it is for `privsynth verify` to check.
        Privacy: post-processing of what was published; spends nothing.
        Raises: CertificateError where a file is missing or changed; InputError for a release of one table, or of a generator
            that this version does not have; FitError when the measurements are not those of its generator and schema.
        """
        found = published.read_release_of_tables(folder)
        kind = generators.get(found.generator, found.settings)
        if set(found.transcripts) != set(views(found.schema)) or rows_used(found.schema, found.used) != found.used:
            raise FitError("the release's measurements are not those of its schema's tables; get it from its publisher")
        return cls(
            schema=found.schema,
            distributions=fit_distributions(found.schema, kind, found.transcripts),
            transcripts=found.transcripts,
            guarantee=found.guarantee,
            generator=found.generator,
            settings=generators.settings_of(kind),
            used=found.used,
        )

    def save(self, folder: str | Path) -> None:
        """Write the model as `model.json` and `model.safetensors` (no pickle) into a new folder.

        Raises: OutputError when the folder exists or cannot be written.
        """
        arrays: dict[str, npt.NDArray[Any]] = {}
        entries: dict[str, object] = {}
        for name, distribution in self.distributions.items():
            entries[name], learned = transcript_to_files(self.transcripts[name])
            arrays |= {_place(name, "transcript", key): array for key, array in learned.items()}
            arrays |= {_place(name, "model", key): array for key, array in distribution.arrays().items()}
        document = {
            "format": FORMAT,
            "schema": self.schema.to_json(),
            "generator": self.generator,
            "settings": self.settings,
            "kind": self._kind,
            "used": self.used,
            "transcripts": entries,
            "guarantee": guarantee_to_json(self.guarantee),
        }
        write_model(folder, document, arrays)

    @classmethod
    def load(cls, folder: str | Path) -> HistoryModel:
        """Read what `save` wrote. Raises: InputError when a file is missing, damaged or from another version."""
        source = Path(folder)
        try:
            document = json.loads((source / DOCUMENT).read_text(encoding="utf-8"))
            if str(document["format"]).startswith("privsynth-model/"):
                raise InputError(f"{source} holds a model of one table; read it with ps.Model.load")
            if document["format"] != FORMAT:
                raise InputError(f"{source} is not in the format {FORMAT}; was it saved by another version?")
            content = (source / ARRAYS).read_bytes()
            if checksum(content) != document["arrays"]:
                raise FitError("the arrays are not those that the model was saved with")
            return _read(document, arrays_from_bytes(content))
        except FileNotFoundError:
            raise InputError(f"{source} holds no model ({DOCUMENT} and {ARRAYS}); check the path") from None
        except (
            FitError,
            MechanismError,
            SchemaError,
            PolicyError,
            ValueError,
            KeyError,
            TypeError,
            OSError,
            AttributeError,
        ):
            raise InputError(f"{source} is not a readable model; it is damaged or was changed") from None


def fit_history(
    database: Private[Database],
    *,
    epsilon: Exact,
    delta: Exact,
    noise: AbstractNoiseSource,
    generator: str = choosing.AUTO,
    settings: Mapping[str, object] | None = None,
    kind: str = frames.ARROW,
) -> HistoryModel:
    """Fit a generator to every view of a private database; the model is uncertified.

    Privacy: (epsilon, delta)-DP for adding or removing one unit with all its rows in all tables. No ledger is charged.
    Args: `generator` is a generator's name, or "auto": `latent_class`. `kind` is the kind of frames that `sample` gives.
    Raises: PolicyError for a generator or setting that does not exist; MechanismError for generators that train by gradients,
        SchemaError for views that are too large, before anything is spent.
    """
    schema, chosen = database.open().schema, dict(settings or {})
    name = generator_name(generator, chosen)
    maker = generators.get(name, chosen)
    budget = Budget.of(epsilon, delta, buys=False, composition=maker.composition)
    plan = HistoryPlan(schema=schema, generator=maker, budget=budget, unit_name=schema.root.name)
    measured = measure(database, plan, noise, bound_key=noise.key())
    return HistoryModel(
        schema=schema,
        distributions=fit_distributions(schema, maker, measured.transcripts),
        transcripts=measured.transcripts,
        guarantee=Guarantee.for_budget(budget, plan.unit, measured.transcript),
        generator=name,
        settings=chosen,
        used=measured.used,
        kind=kind,
    )


def generator_name(asked: str, settings: Mapping[str, object]) -> str:
    """The generator of several tables that is meant by a name or "auto"; only the name is looked at.

    Raises: MechanismError for generators that train by gradients; PolicyError for settings with "auto".
    """
    if asked in choosing.DEEP:
        raise MechanismError(choosing.ONE_TABLE_ONLY.format(name=asked))
    name = DEFAULT_GENERATOR if asked == choosing.AUTO and not settings else asked
    return choosing.resolve(name, 1, settings=settings).name


def _place(table: str, part: str, name: str) -> str:
    """The name of an array in the file; tables' names hold no line breaks."""
    return f"{part}\n{table}\n{name}"


def _read(document: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> HistoryModel:
    """The model that a document and its arrays describe. Raises: several kinds, see `HistoryModel.load`."""
    schema = DatabaseSchema.from_json(document["schema"])
    held: dict[tuple[str, str], dict[str, npt.NDArray[Any]]] = {}
    for place, array in arrays.items():
        part, table, name = place.split("\n")
        held.setdefault((part, table), {})[name] = array
    names = tuple(views(schema))
    transcripts = {
        name: transcript_from_files(document["transcripts"][name], held.get(("transcript", name), {})) for name in names
    }
    fitted = {name: held.get(("model", name), {}) for name in names}
    if any(array.dtype != np.float64 for part in fitted.values() for array in part.values()):
        raise FitError("a distribution's arrays are in double precision")
    guarantee = guarantee_from_json(document["guarantee"])
    guarantee.require_covers(tuple(entry for part in transcripts.values() for entry in part))
    generator = generators.get(document["generator"], document["settings"])
    return HistoryModel(
        schema=schema,
        distributions=restore_distributions(schema, generator, transcripts, fitted),
        transcripts=transcripts,
        guarantee=guarantee,
        generator=document["generator"],
        settings=document["settings"],
        used={name: int(document["used"][name]) for name in names},
        kind=document["kind"],
    )
