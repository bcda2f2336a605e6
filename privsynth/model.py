"""Model: a fitted distribution with its schema and transcript; sampling, conditions, expected errors, saving.

Must never hold or need a private record: everything here is post-processing of a transcript.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
import numpy.typing as npt

from privsynth import answering, frames, generators, identifiers, published, raking, rules
from privsynth.answering import Answer, Evidence, ExpectedError, table_error
from privsynth.combining import Copies, copying
from privsynth.debiasing import Debias, DebiasingCost, cost_of, debiased, draw_debiased
from privsynth.domain import Clique
from privsynth.encoding import decode, evidence
from privsynth.errors import FitError, InputError, MechanismError
from privsynth.generator import AbstractDistribution
from privsynth.guarantee_files import guarantee_from_json, guarantee_to_json
from privsynth.measurement import Transcript, measurements
from privsynth.privacy.guarantee import Guarantee, decimal_up
from privsynth.provenance import UNCERTIFIED, Provenance, mark
from privsynth.raking import Targets
from privsynth.rebalancing import Rebalance, draw_rebalanced, rebalanced_column
from privsynth.records import Records, to_arrow
from privsynth.schema import Schema
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

FORMAT = "privsynth-model/2"
SHIFTED_FORMAT = "privsynth-shifted-model/1"
"""Of its own, so that no version that knows nothing of shifts takes a what-if for a model of records."""

_FITTED, _LEARNED = "model/", "transcript/"


@final
class Sample:
    """Released records, the table made of them, and how many rows each business rule had to mend."""

    __slots__ = ("records", "repaired", "table")

    def __init__(self, records: Records, table: pa.Table, repaired: Mapping[str, int]) -> None:
        self.records, self.table, self.repaired = records, table, repaired


@final
class Model:
    """A distribution over records of a schema, with what it cost and what was learned.

    Privacy: sampling, conditioning, saving and reading it spend nothing. `guarantee` is what the fit spent. A model from
        `fit` is uncertified: exploring counts against nobody's ledger, so nothing made with it can be signed.
    """

    def __init__(
        self,
        *,
        schema: Schema,
        distribution: AbstractDistribution,
        transcript: Transcript,
        guarantee: Guarantee,
        generator: str,
        settings: Mapping[str, object],
        kind: str = frames.ARROW,
        origin: Model | None = None,
        shifts: Sequence[Targets] = (),
        generation: int = 1,
    ) -> None:
        self.schema = schema
        self.distribution = distribution
        self.transcript = transcript
        self.guarantee = guarantee
        self.generator = generator
        self.settings = dict(settings)
        self._kind = kind
        self._origin = origin or self
        self.shifts = tuple(shifts)
        self._evidence: Evidence | None = None
        self.generation = generation
        self._status = "uncertified"

    def __repr__(self) -> str:
        epsilon, delta = decimal_up(Fraction(self.guarantee.epsilon), 4), decimal_up(self.guarantee.delta, 15)
        return (
            f"Model({self.generator} of {self.schema.table.name}, epsilon={epsilon}, delta={delta}, "
            f"unit={self.guarantee.unit.name}, {self._status}{', shifted: a what-if' if self.shifts else ''})"
        )

    def sample(
        self,
        n: int,
        *,
        rng: np.random.Generator,
        given: Mapping[str, object] | None = None,
        rebalance: Rebalance | None = None,
        debias: Debias | bool = False,
    ) -> Any:
        """Draw n records as the kind of frame that the model was fitted on (pandas, polars or Arrow; Arrow for a file).

        Args: `given` holds conditions: {"readmitted": "<30"} for one value, a list for several, a pair (lower, upper) for a
            range. They hold in every row. `rebalance` names a column whose labels are to be equally frequent, or gives them
            shares: {"readmitted": {"<30": 0.5}}, of which others have the rest as the model has them; all else follows from the
            model given the label. `debias` makes the outcome independent of protected columns given legitimate ones: those of
            the schema's [use] with True, or others; see `debiasing_cost`.
        Raises: SchemaError for a condition the schema does not admit; FitError for one of probability zero.
        """
        drawn = self.draw(n, rng=rng, given=given, rebalance=rebalance, debias=debias)
        return frames.to_kind(drawn.table, self._kind)

    def draw(
        self,
        n: int,
        *,
        rng: np.random.Generator,
        given: Mapping[str, object] | None = None,
        rebalance: Rebalance | None = None,
        debias: Debias | bool = False,
    ) -> Sample:
        """Draw n records that obey every business rule, with counts of the rows that needed repair."""
        if not isinstance(n, int) or n < 1:
            raise InputError(f"n is a whole number of rows, at least 1; found {n!r}")
        if not isinstance(rng, np.random.Generator):
            raise InputError("rng must be a numpy Generator, such as np.random.default_rng()")
        if debias is not False:
            plan = debiased(self.schema, self.distribution, Debias.of(self.schema, asked=debias), given, rebalance)
            found, counts = draw_debiased(
                self.schema, self.distribution, plan, n, rng=rng, given=given, rebalance=rebalance
            )
            return self._sample(found, counts, rng, (*_changed(given, rebalance), "debiased"))
        keep = (*(given or ()), *raking.columns_of(self.shifts))
        if rebalance is None:
            codes = self.distribution.draw(n, rng, evidence(self.schema, given) if given else None)
        else:
            codes = draw_rebalanced(self.schema, self.distribution, n, rng, rebalance, given or {})
            keep = (*keep, rebalanced_column(rebalance))
        decoded = decode(codes, self.schema, rng=rng, given=given)
        records, repaired = rules.repair(self.schema, decoded, rng=rng, keep=keep, asked=keep)
        if given and not rules.meets(self.schema, records, given).all():
            raise FitError("the conditions and the business rules cannot hold together; drop one of the conditions")
        return self._sample(records, repaired, rng, _changed(given, rebalance))

    def _sample(
        self, found: Records, repaired: Mapping[str, int], rng: np.random.Generator, drawn: tuple[str, ...]
    ) -> Sample:
        """The records with a table that says what it is, and how it was drawn."""
        table = to_arrow(found, identifiers.regenerate_all(self.schema, found.rows, rng=rng))
        plain = self.provenance
        return Sample(found, mark(table, replace(plain, drawn=(*plain.drawn, *drawn))), repaired)

    @property
    def provenance(self) -> Provenance:
        """What a table drawn from this model says of itself; `generation` is above 1 where it was fitted to such a table."""
        return Provenance(
            synthetic="all",
            origin=UNCERTIFIED,
            generator=self.generator,
            epsilon=self.guarantee.epsilon,
            table=self.schema.table.name,
            generation=self.generation,
            drawn=("shifted",) if self.shifts else (),
        )

    def debiasing_cost(self, debias: Debias | None = None, *, rng: np.random.Generator) -> DebiasingCost:
        """What `sample(debias=)` gives up: the dependence before and after, rates by group, how far tables move.

        Args: `debias` is the schema's [use] unless it is given.
        Privacy: post-processing of the model; spends nothing.
        """
        wanted = Debias.of(self.schema, asked=debias or True)
        errors = {} if self.shifts else {name: self.error((name, wanted.outcome)) for name in wanted.protected}
        noise = {name: error.cell_share_90 for name, error in errors.items() if error.cell_share_90 is not None}
        return cost_of(self.schema, self.distribution, wanted, noise=noise, rng=rng)

    def shifted(self, targets: Targets) -> Model:
        """A what-if: the model nearest to this one (Kullback-Leibler) in which these columns have the declared shares.

        What is given the targeted columns is as before. It samples and saves as any model; it has no error bars (`raking`).
        Privacy: post-processing; the guarantee and the transcript are this model's.
        Args: {"readmitted": {"<30": 0.2}}: values that are not named keep their proportions. Ranges of ordered columns, in
            whole levels: {"age": {(60, 79): 0.5}}; columns together: {("sex", "ward"): {("F", "ICU"): 0.1}}.
        Raises: SchemaError for targets that the schema does not admit; FitError for shares that cannot be met.
        """
        return Model(
            schema=self.schema,
            distribution=raking.shift(self.schema, self.distribution, targets),
            transcript=self.transcript,
            guarantee=self.guarantee,
            generator=self.generator,
            settings=self.settings,
            kind=self._kind,
            origin=self._origin,
            shifts=(*self.shifts, targets),
            generation=self.generation,
        )

    def copies(self, m: int, *, rng: np.random.Generator, n: int | None = None) -> Copies:
        """Make m synthetic tables, each from its own draw of the truth that the noisy answers leave open; see `Copies`.

        Args: `n` is the rows of each; by default as many as the model's people, at most 200,000.
        Raises: FitError for a generator that trains, InputError for a what-if (make copies before `shifted`) or a wrong m or n.
        """
        if self.shifts:
            raise InputError("a what-if was measured nowhere; make copies of the model that it was shifted from")

        def draw(distribution: AbstractDistribution, rows: int) -> tuple[Records, Any]:
            own = Model(
                schema=self.schema,
                distribution=distribution,
                transcript=self.transcript,
                guarantee=self.guarantee,
                generator=self.generator,
                settings=self.settings,
                generation=self.generation,
            )
            drawn = own.draw(rows, rng=rng)
            return drawn.records, frames.to_kind(drawn.table, self._kind)

        source = copying.Source(
            schema=self.schema,
            generator=generators.get(self.generator, self.settings),
            distribution=self.distribution,
            transcript=self.transcript,
            rows_per_person=self.guarantee.unit.max_rows,
        )
        return copying.make(source, draw, m, n=n, rng=rng)

    def project(self, clique: Clique) -> npt.NDArray[np.float64]:
        """Expected counts of a table of encoded levels. Shapes: `schema.domain().shape(clique)`."""
        return self.distribution.project(tuple(clique))

    def error(self, clique: Clique) -> ExpectedError:
        """Expected error of this table from public numbers; see `ExpectedError`.

        Raises: InputError for a what-if; SchemaError for a column that is not modelled.
        """
        raking.require_none(self.shifts, "error")
        if isinstance(clique, str):
            raise InputError(f'a clique is a tuple of column names; write ("{clique}",)')
        wanted, domain = tuple(self.schema.modelled_column(name).name for name in clique), self.schema.domain()
        domain.shape(wanted)
        return table_error(wanted, domain, self.distribution, measurements(self.transcript))

    def answer(self, question: str) -> Answer:
        """The value of a count, share, mean or correlation of the real table, with a 90 % interval, from public numbers alone.

        `"count where age >= 60 and readmitted == '<30'"`; docs/error-bars.md has the grammar. The first answer takes a dozen
        refits; from then on answers are quick.
        Raises: InputError or SchemaError for what cannot be read, and for a what-if; FitError for generators that train.
        """
        raking.require_none(self.shifts, "answer")
        if self._evidence is None:
            kind = generators.get(self.generator, self.settings)
            self._evidence = Evidence(self.schema, kind, self.distribution, self.transcript)
        return answering.answer(question, self._evidence, bounded=self.guarantee.unit)

    def pair_errors(self) -> dict[Clique, float]:
        """Expected L1 error of every pair's normalised table, as its generator predicts it; empty where it predicts none.

        From public numbers alone, and for the model: records drawn from it add their own, small at the estimated size.
        Raises: InputError for a what-if.
        """
        raking.require_none(self.shifts, "pair_errors")
        pairs = itertools.combinations(self.schema.domain().attributes, 2)
        found = ((pair, self.distribution.expected_l1(pair)) for pair in pairs)
        return {pair: error for pair, error in found if error is not None}

    def save(self, folder: str | Path) -> None:
        """Write the model as `model.json` and `model.safetensors` (no pickle) into a new folder.

        Raises: OutputError when the folder exists or cannot be written.
        """
        entries, learned = transcript_to_files(self.transcript)
        fitted = {_FITTED + name: array for name, array in self._origin.distribution.arrays().items()}
        arrays = fitted | {_LEARNED + name: array for name, array in learned.items()}
        document: dict[str, object] = {
            "format": FORMAT,
            "schema": self.schema.to_json(),
            "generator": self.generator,
            "settings": self.settings,
            "kind": self._kind,
            "transcript": entries,
            "guarantee": guarantee_to_json(self.guarantee),
        }
        if self.generation > 1:
            document["generation"] = self.generation
        if self.shifts:
            document["format"], document["shifts"] = SHIFTED_FORMAT, [raking.to_json(one) for one in self.shifts]
        write_model(folder, document, arrays)

    @classmethod
    def from_release(cls, folder: str | Path) -> Model:
        """Fit again, from the public files of a release of one table alone, the model that its records were drawn from.

        The files must be those that the folder's certificate names; who signed it is for `privsynth verify` to check.
        Privacy: post-processing of what was published; spends nothing.
        Raises: CertificateError where a file is missing or changed; InputError for a release of several tables, or of a
            generator that this version does not have; FitError when the measurements are not those of its generator.
        """
        found = published.read_release(folder)
        kind = generators.get(found.generator, found.settings)
        model = cls(
            schema=found.schema,
            distribution=kind.estimate(found.schema.domain(), found.transcript),
            transcript=found.transcript,
            guarantee=found.guarantee,
            generator=found.generator,
            settings=generators.settings_of(kind),
        )
        model._status = "of a release"
        return model

    @classmethod
    def load(cls, folder: str | Path) -> Model:
        """Read what `save` wrote, on any machine: a model that was trained on a GPU needs none.

        Raises: InputError when a file is missing, damaged or from another version.
        """
        source = Path(folder)
        try:
            document = json.loads((source / DOCUMENT).read_text(encoding="utf-8"))
            _require_format(source, document["format"])
            content = (source / ARRAYS).read_bytes()
            arrays = arrays_from_bytes(content)
            if checksum(content) != document["arrays"]:
                raise FitError("the arrays are not those that the model was saved with")
            fitted = _part(arrays, _FITTED)
            if any(array.dtype != np.float64 for array in fitted.values()):
                raise FitError("a distribution's arrays are in double precision")
            schema = Schema.from_json(document["schema"])
            transcript = transcript_from_files(document["transcript"], _part(arrays, _LEARNED))
            guarantee = guarantee_from_json(document["guarantee"])
            guarantee.require_covers(transcript)
            generator = generators.get(document["generator"], document["settings"])
            found = cls(
                schema=schema,
                distribution=generator.restore(schema.domain(), transcript, fitted),
                transcript=transcript,
                guarantee=guarantee,
                generator=document["generator"],
                settings=document["settings"],
                kind=document["kind"],
                generation=int(document.get("generation", 1)),
            )
            for targets in document["shifts"] if document["format"] == SHIFTED_FORMAT else ():
                found = found.shifted(raking.from_json(targets))
            return found
        except FileNotFoundError:
            raise InputError(f"{source} holds no model ({DOCUMENT} and {ARRAYS}); check the path") from None
        except (FitError, MechanismError, ValueError, KeyError, TypeError, OSError, AttributeError):
            raise InputError(f"{source} is not a readable model; it is damaged or was changed") from None


def _changed(given: Mapping[str, object] | None, rebalance: Rebalance | None) -> tuple[str, ...]:
    """What makes a sample's rows other than the model's, in the words of a mark."""
    return (*(("given",) if given else ()), *(() if rebalance is None else ("rebalanced",)))


def _part(arrays: Mapping[str, npt.NDArray[Any]], prefix: str) -> dict[str, npt.NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _require_format(source: Path, found: object) -> None:
    if found == "privsynth-model/1":
        raise InputError(
            f"{source} was saved by privsynth 0.1 (model.npz), which this version does not read; load and sample it with "
            "0.1, or fit again"
        )
    if str(found).startswith("privsynth-history-model/"):
        raise InputError(f"{source} holds a model of several tables; read it with ps.HistoryModel.load")
    if found not in (FORMAT, SHIFTED_FORMAT):
        raise InputError(f"{source} is not in the format {FORMAT}; was it saved by another version?")
