"""The page of an evaluation: one self-contained HTML file under a red banner.

Must never show a count of fewer real rows than the cell-size rule allows, and never anything that runs or loads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from privsynth.evaluating import pictures
from privsynth.evaluating.evaluation import TABLES_IN_WORDS, Evaluation, interval_words, share_words
from privsynth.evaluating.measuring import SIZES, Measured
from privsynth.metrics.closest import NOTE
from privsynth.metrics.correlations import Correlations
from privsynth.metrics.groups import Section as GroupSection
from privsynth.metrics.people import about
from privsynth.metrics.prediction import Prediction
from privsynth.metrics.rare import FATES, RARE, RareCategories
from privsynth.metrics.subsampling import AS_A_FRESH_SAMPLE
from privsynth.metrics.telling_apart import ToldApart
from privsynth.report import page
from privsynth.report.words import count, percent, plural

Section: TypeAlias = dict[str, object]

SHOWN_RARE: Final = 12
SHOWN_RULES: Final = 30
_HIDDEN = "few, or hidden with few"
_SECTIONS = (
    ("impossible", "Impossible rows"),
    ("tables", "Tables"),
    ("score", "Score"),
    ("correlations", "Correlations"),
    ("prediction", "Prediction"),
    ("apart", "Told apart"),
    ("rare", "Rare categories"),
    ("fairness", "Groups"),
    ("peers", "Beside others"),
    ("closest", "Closest records"),
)


def render(found: Evaluation) -> str:
    """Write the page. Privacy: it shows figures on real people; internal."""
    one = found.measured
    context: Mapping[str, object] = {
        "page": page.head(found.what, also="evaluation.css"),
        "lead": _lead(found),
        "cards": _cards(one),
        "sections": [pair for pair in _SECTIONS if pair[0] != "peers" or found.peers],
        "rules": _rules(one),
        "tables": _tables(found),
        "score": _score(one),
        "correlations": _correlations(one.correlations),
        "prediction": _prediction(one.prediction, found),
        "apart": _apart(one.apart),
        "rare": _rare(one.rare, found),
        "fairness": _groups(one),
        "peers": _peers(found),
        "closest": _closest(one),
    }
    return page.fill("evaluation.html", context)


def _lead(found: Evaluation) -> str:
    beside = "no holdout" if found.holdout_rows is None else f"a holdout of about {count(about(found.holdout_rows))}"
    told = ""
    if found.known is not None:
        told = (
            f" It was made by {found.known.generator} with epsilon {found.known.epsilon:.4g} at delta "
            f"{found.known.delta:.3g} for each {found.known.unit}."
        )
    real = count(about(found.real_rows))
    rows = count(found.measured.rows)
    return f"{rows} synthetic rows against about {real} real ones and {beside}.{found.rows_words}{told}"


def _cards(one: Measured) -> list[Section]:
    pairs = one.errors.get(2, one.errors[1])
    cards = [
        page.card("Impossible rows", count(one.broken.rows), f"of {count(one.broken.of)} synthetic rows"),
        page.card(
            "Mean error of pairs" if 2 in one.errors else "Mean error of columns",
            percent(pairs.errors.mean()),
            f"a fresh sample is off by {percent(pairs.floor.mean())}",
        ),
        page.card(
            "k-marginal score",
            f"{one.k_marginal.score:.0f}",
            f"of 1000; equals a subsample of {share_words(one.k_marginal.share)} of the real rows "
            "(a fresh sample: about a third)",
        ),
    ]
    if one.prediction is not None:
        best = one.prediction.learned[0]
        made = "none" if best.synthetic is None else f"{best.synthetic.value:.3f}"
        cards.append(
            page.card(
                f"{one.prediction.measure} at “{one.prediction.target}”",
                made,
                f"{best.learner.replace('_', ' ')}; taught on real rows {best.real.value:.3f}",
            )
        )
    if one.apart is not None:
        cards.append(page.card("Told from real rows", f"{one.apart.area:.3f}", "AUC; 0.5 is not at all, 1 is always"))
    lost = one.rare.counts["lost"] + one.rare.counts["merged"]
    cards.append(page.card("Rare categories lost", str(lost), f"of {plural(len(one.rare.categories), 'one', 'ones')}"))
    return cards


def _rules(one: Measured) -> Section:
    broken = one.broken
    if not broken.rules:
        return {
            "words": "The schema declares no business rule, so that no row can be told to be impossible.",
            "lines": [],
        }
    words = f"{plural(broken.rows, 'synthetic row breaks', 'synthetic rows break')} one of " + plural(
        len(broken.rules), "business rule", "business rules"
    )
    touched = [rule for rule in broken.rules if rule.synthetic or rule.real is None or rule.real]
    lines = [
        {
            "text": rule.text,
            "synthetic": count(rule.synthetic),
            "style": "fail" if rule.synthetic else "",
            "real": _HIDDEN if rule.real is None else count(rule.real),
        }
        for rule in touched[:SHOWN_RULES]
    ]
    more = len(touched) - len(lines)
    held = len(broken.rules) - len(touched)
    others = f" {plural(held, 'rule holds', 'rules hold')} in every row of both tables." if held else ""
    rest = f" {more} more rules that are broken are in evaluation.json." if more else ""
    return {"words": f"{words}.{others}{rest}", "lines": lines}


def _tables(found: Evaluation) -> Section:
    errors = found.measured.errors
    lines, shown = [], []
    for size in SIZES:
        if size not in errors:
            continue
        one = errors[size]
        lines.append(
            {
                "what": TABLES_IN_WORDS[size],
                "number": count(len(one.cliques)),
                "mean": percent(one.errors.mean()),
                "floor": percent(one.floor.mean()),
                "worst": percent(one.errors.max()),
            }
        )
        worst = [
            (" × ".join(one.cliques[place]), float(one.errors[place]), float(one.floor[place])) for place in one.worst()
        ]
        title = f"The {TABLES_IN_WORDS[size]} that are farthest off"
        shown.append({"title": title, "svg": pictures.bars(worst, title)})
    return {
        "lines": lines,
        "pictures": shown,
        "floor": "The fresh sample is the holdout, its error scaled from its size to the synthetic table’s."
        if found.holdout_rows is not None
        else "Without a holdout the fresh sample is drawn from the real table’s own cells: it knows nothing of combinations "
        "that no record happens to have, and is a little low where cells are many.",
    }


def _score(one: Measured) -> Section:
    score = one.k_marginal
    fresh = "" if score.fresh is None else f" {count(score.fresh_rows)} unused real records score {score.fresh:.0f}."
    return {
        "words": f"{score.score:.0f} of 1000. A random {share_words(score.share)} of the real rows scores the same (between "
        f"{share_words(score.lower)} and {share_words(score.upper)}): for tables of {score.columns} columns the "
        f"synthetic table "
        f"is worth as much as that subsample. {AS_A_FRESH_SAMPLE}{fresh}",
        "how": f"1000 × (1 − mean error) over {score.sets} random sets of {score.columns} columns, on the schema’s "
        f"bins. SDNist’s "
        "report takes pairs within each area instead, on its own bins: scores of one scale, not of the same tables.",
    }


def _correlations(found: Correlations) -> Section:
    if not len(found.gaps):
        return {"words": "No pair of columns varies in both.", "pictures": [], "lines": []}
    shown = (
        ("real", found.real, False),
        ("synthetic", found.synthetic, False),
        ("synthetic − real", found.difference, True),
    )
    return {
        "words": f"Over {plural(len(found.gaps), 'pair', 'pairs')} they differ by {found.gaps.mean():.3f} on average, and by "
        f"{found.gaps.max():.2f} at most.",
        "pictures": [
            {"title": title, "svg": pictures.matrix(found.names, values, title, difference=difference)}
            for title, values, difference in shown
        ],
        "lines": [
            {
                "pair": f"{found.names[first]} × {found.names[second]}",
                "measure": found.measure(first, second),
                "real": f"{found.real[first, second]:.2f}",
                "synthetic": f"{found.synthetic[first, second]:.2f}",
            }
            for first, second in found.worst()
        ],
    }


def _prediction(found: Prediction | None, evaluation: Evaluation) -> Section:
    if found is None:
        return {
            "missing": evaluation.measured.not_learned
            or "No target is declared. Add [use] with target = … to the schema, or name one with --target, to "
            "see what a "
            "learner makes of the synthetic table."
        }
    lines = []
    for one in found.learned:
        name = one.learner.replace("_", " ")
        lines.append((f"{name}, real rows", "real", one.real))
        if one.synthetic is not None:
            lines.append((f"{name}, synthetic rows", "made", one.synthetic))
    for model, estimate in found.direct.items():
        lines.append((f"{model.replace('_', ' ')} under epsilon", "direct", estimate))
    outcome = f" (outcome: {' or '.join(found.outcome)})" if found.outcome else ""
    gaps = [one.gap for one in found.learned if one.gap is not None]
    gap = f" Synthetic minus real: {'; '.join(interval_words(one) for one in gaps)}." if gaps else ""
    problem = f" {found.synthetic_not}." if found.synthetic_not else ""
    return {
        "missing": "",
        "words": f"{found.measure} at “{found.target}”{outcome}, judged on about {count(about(found.test_rows))} real rows; "
        f"taught on about {count(about(found.train_rows))} rows, or all where there are fewer.{problem}{gap}",
        "picture": pictures.intervals(lines, found.measure),
        "direct": bool(found.direct),
        "how": _how_predicted(found, evaluation),
    }


def _how_predicted(found: Prediction, evaluation: Evaluation) -> str:
    seen = (
        "The rows judged by are a part of the real table that the generator may have seen, which flatters it; a holdout "
        "would not. "
        if found.seen
        else "The rows judged by are the holdout. "
    )
    direct = f"No model was trained directly under differential privacy: {found.direct_not}."
    if found.direct and evaluation.known is not None:
        direct = (
            f"The models under epsilon are diffprivlib’s, trained on about {count(about(found.direct_rows))} real rows with "
            f"epsilon {evaluation.known.epsilon:.4g} and bounds from the schema; they answer this one question and their "
            f"epsilon is that of one row, while the release’s is of one {evaluation.known.unit} and serves every question."
        )
    return f"Intervals of 95 % over three seeds and the rows judged by. {seen}{direct}"


def _apart(found: ToldApart | None) -> Section:
    if found is None:
        return {"words": "Not tried: one of the tables has too few rows.", "picture": "", "how": ""}
    lines = [(name, fall, None) for name, fall in found.columns]
    return {
        "words": f"Boosted trees that see a row they were not taught on know a synthetic row from a real one with an AUC of "
        f"{found.area:.3f} ({found.lower:.3f} to {found.upper:.3f}); 0.5 is not at all, 1 is always. Seeing only in "
        f"which bin a "
        f"number lies, {found.of_levels:.3f}. The pMSE is {found.pmse_ratio:.3g} times that of tables that are alike.",
        "picture": pictures.bars(lines, "Fall of the AUC when a column is shuffled") if lines else "",
        "how": f"{count(found.rows)} rows of each table, five folds. A bar is how much the AUC falls when the column is "
        f"shuffled "
        "among the rows. Being told apart is no leak: it says that the table is not a sample of the same population.",
    }


def _rare(found: RareCategories, evaluation: Evaluation) -> Section:
    lines = [
        {
            "column": one.column,
            "label": one.label,
            "fate": one.fate,
            "real": _HIDDEN if one.real is None else count(one.real),
            "synthetic": count(one.synthetic),
            "noisy": "–" if one.noisy is None or one.sigma is None else f"{one.noisy:.0f} ± {2 * one.sigma:.0f}",
            "decided": one.decided or "–",
        }
        for fate in FATES
        for one in [each for each in found.categories if each.fate == fate][:SHOWN_RARE]
    ]
    more = len(found.categories) - len(lines)
    return {
        "words": f"Categories of fewer than {percent(RARE)} of the real rows: "
        + ", ".join(f"{found.counts[fate]} {fate}" for fate in FATES)
        + f".{f' The table shows {len(lines)}; {more} more are in evaluation.json.' if more > 0 else ''}",
        "lines": lines,
        "how": f"Lost: real rows have it and no synthetic row does. Merged: it was not bought, and its rows went to "
        f"another label. Invented: declared, in no real row, and drawn all the same. Counts of fewer than "
        f"{evaluation.measured.min_cell} real people are hidden, with more of the same column where it would give them away. "
        + (
            "The noisy count is what the release was told, scaled to the real table’s rows, with two standard deviations."
            if evaluation.known is not None
            else "What the release was told is not known: evaluate its folder, or give it with --release."
        ),
    }


def _groups(one: Measured) -> Section:
    """Each section's groups with their figures as a table; what is hidden says so."""
    found = one.groups
    if found is None:
        return {
            "words": one.not_learned
            or "No groups are compared: that takes protected columns and a target, declared in [use] of the schema.",
            "notes": [],
            "tables": [],
        }
    tables = []
    for section in found.sections:
        keys = list(dict.fromkeys(key for group in section.groups for key in group.figures))
        lines = [
            {
                "what": f"{what}, {whose}",
                "figures": [str(group.figures.get((what, whose)) or "hidden") for group in section.groups],
            }
            for what, whose in keys
        ]
        tables.append(
            {
                "title": " × ".join(section.columns),
                "note": section.note,
                "heads": [f"{group.name} (about {count(group.rows)} rows)" for group in section.groups],
                "lines": lines,
                "picture": _rates(section),
                "apart": [f"{what}, {whose}: {one or 'hidden'}" for (what, whose), one in section.apart.items()],
            }
        )
    return {
        "words": f"Groups by how often {found.counted}; models: {found.learner.replace('_', ' ')}, judged on real rows. "
        f"Groups with a "
        f"count of fewer than {found.min_cell} real people are shown only together with others.",
        "notes": list(found.notes),
        "tables": tables,
    }


def _rates(section: GroupSection) -> str:
    """How often the outcome is in each group of synthetic rows, with a mark where it is among real ones."""
    lines = []
    for group in section.groups:
        made, real = (group.figures.get(("rate", whose)) for whose in ("synthetic", "real"))
        if made is not None and real is not None:
            lines.append((group.name, made.value, real.value))
    return pictures.bars(lines, "Rate of the outcome by group") if lines else ""


def _closest(one: Measured) -> Section:
    found = one.closest
    reference = "unused real rows" if found.reference_is_holdout else "real rows and the next other one"
    nearer = (
        ""
        if found.nearer is None
        else f" {percent(found.nearer)} of them are nearer to the real table than to a holdout of its size; chance gives half."
    )
    return {
        "words": f"The middle synthetic row is {percent(found.median)} of the largest distance from the closest real row; "
        f"of {reference}, {percent(found.reference)}. {percent(found.copies)} of synthetic rows equal a real one in "
        f"every column, "
        f"against {percent(found.reference_copies)} in the reference.{nearer}",
        "how": NOTE,
    }


def _peers(found: Evaluation) -> Section:
    if not found.peers:
        return {"names": [], "lines": []}
    every = {found.what: found.measured, **found.peers}
    rows = [_figures(one) for one in every.values()]
    names = dict.fromkeys(what for row in rows for what in row)
    return {
        "names": list(every),
        "lines": [{"what": what, "figures": [row.get(what, "–") for row in rows]} for what in names],
    }


def _figures(one: Measured) -> dict[str, str]:
    found = {"rows": count(one.rows), "impossible rows": count(one.broken.rows)}
    for size, errors in one.errors.items():
        found[f"mean error of {TABLES_IN_WORDS[size]}"] = percent(errors.errors.mean())
    found["k-marginal score"] = f"{one.k_marginal.score:.0f}"
    found["equals a subsample of"] = share_words(one.k_marginal.share)
    if len(one.correlations.gaps):
        found["correlations, mean difference"] = f"{one.correlations.gaps.mean():.3f}"
    if one.prediction is not None:
        for learner in one.prediction.learned:
            what = f"{one.prediction.measure}, {learner.learner.replace('_', ' ')}"
            found[what] = "–" if learner.synthetic is None else f"{learner.synthetic.value:.3f}"
    if one.apart is not None:
        found["told from real rows (AUC)"] = f"{one.apart.area:.3f}"
    for fate in FATES:
        found[f"rare categories {fate}"] = str(one.rare.counts[fate])
    return found
