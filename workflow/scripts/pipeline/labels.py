"""What the labels of a user's file stand for: control, targets and combinations of targets.

A label is split into targets, checked, and named canonically (:mod:`pipeline.screen`). What is
valid but looks like a mistake is warned about, with the key to change.
"""

import difflib
import logging
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from lcd_core.errors import InputError, shown
from pipeline.screen import CONTROL, SEPARATOR, canonical_name, targets_of

COMMON_SEPARATORS = "+_,;|& "
MISSING_LABELS = {"", "nan", "NA"}
MISSING = "nan"
"""How ``screen.drop_labels`` names a missing value."""
UNPRINTED = re.compile("[\x00-\x1f\ufffe\uffff]")
"""What cuts lines of tables, or may not stand in XML, so neither in figures nor in networks."""
IN_WHOLE_NAMES = "&"
"""What stands for ``+`` in the canonical name of a label that is not to be split."""
BRACKETS = {")": "(", "]": "[", "}": "{"}
CONTROL_WORDS = {
    "ctrl",
    "control",
    "nontargeting",
    "nontarget",
    "nontargetingcontrol",
    "nt",
    "ntc",
    "neg",
    "negative",
    "negctrl",
    "negcontrol",
    "negativecontrol",
    "scramble",
    "scrambled",
    "safetargeting",
    "mock",
    "untreated",
    "unperturbed",
    "dmso",
    "vehicle",
    "wt",
    "wildtype",
}
UNASSIGNED_WORDS = {
    "unassigned",
    "notassigned",
    "unknown",
    "undetermined",
    "unmapped",
    "unclassified",
    "ambiguous",
    "multiplet",
    "multiplets",
    "doublet",
    "doublets",
    "multiple",
    "multi",
    "none",
    "null",
    "nan",
    "na",
    "lowquality",
}
"""Names, without case and by their letters alone, that are rarely those of targets."""


def listed(labels: str | Sequence[str]) -> list[str]:
    """Return one label or several as a list."""
    return [labels] if isinstance(labels, str) else list(labels)


def suggestion(name: str, known: Iterable[object]) -> str:
    """Return `` (did you mean ...?)``, or nothing where nothing is close."""
    options: dict[str, list[str]] = {}
    for value in dict.fromkeys(map(str, known)):
        options.setdefault(value.lower(), []).append(value)
    close = difflib.get_close_matches(name.lower(), options, n=3, cutoff=0.6)
    likely = [repr(value) for key in close for value in options[key]]
    return f" (did you mean {' or '.join(likely)}?)" if likely else ""


def frequent(number: Mapping[str, int]) -> str:
    """Return the labels with most cells, blanks and invisible characters to be seen."""
    most = Counter(number).most_common(10)
    plain = {label: label.isprintable() and label == label.strip() for label, _ in most}
    return ", ".join(f"{label if plain[label] else repr(label)} ({n})" for label, n in most)


def require_labels(
    labels: Iterable[str], number: Mapping[str, int], key: str, what: str, where: str
) -> None:
    """Refuse labels that no cell has.

    Parameters
    ----------
    labels
        Labels that the configuration names.
    number
        Cells of every label of the file.
    key, what
        The key that names them, and what they are in the words of a message.
    where
        File and field, for messages.
    """
    absent = [label for label in labels if label not in number]
    if absent:
        raise InputError(
            f"no cell has the {what} {absent[0]!r}{suggestion(absent[0], number)}",
            where=where,
            found=f"{len(number)} labels, most cells first: {frequent(number)}",
            remedy=f"set screen.{key} to labels of the file"
            + (f"; also absent: {shown(map(repr, absent[1:]))}" if absent[1:] else ""),
        )


def canonical_names(
    labels: Iterable[str],
    control_label: str | Sequence[str],
    separator: str | Sequence[str],
    ignore_labels: Sequence[str],
    genes: Iterable[str],
    where: str,
) -> dict[str, str]:
    """Map every distinct label to the canonical name of its perturbation.

    Parameters
    ----------
    labels
        One label per cell.
    control_label
        Label of the control, or several; within a combination they mean "no target".
    separator
        What joins the targets of a combination, one or several; ``[]``: labels are whole, and a
        ``+`` in them becomes ``&``, since ``+`` joins the targets of canonical names.
    ignore_labels
        Targets that mean "no target".
    genes
        Names of the measured genes, which help to tell names from lists of names.
    where
        File and field, for messages.

    Raises
    ------
    InputError
        If labels are ambiguous, repeat a target or leave the screen without control or without
        perturbations.
    """
    number = Counter(labels)
    controls = listed(control_label)
    require_labels(controls, number, "control_label", "control label", where)
    separators = listed(separator)
    no_target = {*controls, *ignore_labels}
    others = [label for label in number if label not in controls]
    if separators:
        split = {label: targets_in(label, separators) for label in others}
        check_targets(split, no_target, separators, where)
        check_separators(split, no_target, set(genes), separators, where)
    else:
        split = {label: [label if label in no_target else whole_name(label)] for label in others}
        check_targets(split, no_target, separators, where)
        check_whole_names(split, where)

    names = dict.fromkeys(controls, CONTROL)
    for label, tokens in split.items():
        names[label] = canonical_name(token for token in tokens if token not in no_target)
    without = sorted(label for label in split if names[label] == CONTROL)
    if without:
        logging.info("counted as control, having no target: %s", shown(without))
    if set(names.values()) == {CONTROL}:
        raise InputError(
            "the screen has one condition only, the control",
            where=where,
            found=frequent(number),
            remedy="give a screen with perturbed cells; check screen.perturbation_column, "
            "screen.control_label, screen.ignore_labels, screen.drop_labels and screen.keep",
        )
    return names


def whole_name(label: str) -> str:
    """Return the canonical name of a label that is not to be split."""
    return label.replace(SEPARATOR, IN_WHOLE_NAMES)


def targets_in(label: str, separators: Sequence[str]) -> list[str]:
    """Split a label at the separators."""
    # The longest first, so that "++" is not taken for two of "+".
    longest_first = sorted(separators, key=len, reverse=True)
    return re.split("|".join(re.escape(text) for text in longest_first), label)


def balanced(text: str) -> bool:
    """Whether every bracket is closed in its turn."""
    opened: list[str] = []
    for character in text:
        if character in BRACKETS.values():
            opened.append(character)
        elif character in BRACKETS and (not opened or opened.pop() != BRACKETS[character]):
            return False
    return not opened


def check_targets(
    split: Mapping[str, list[str]], no_target: set[str], separators: Sequence[str], where: str
) -> None:
    """Refuse labels that do not give a set of distinct, well-formed target names."""
    joined = " or ".join(repr(text) for text in separators)
    missing = MISSING_LABELS - no_target
    problems: list[tuple[str, Callable[[list[str]], bool], str]] = [
        (
            f"a separator ({joined}) stands within brackets, which would be cut in two",
            lambda targets: len(targets) > 1 and not all(map(balanced, targets)),
            "set screen.separator to [] if labels are whole and never to be split, or to another "
            "text that joins the targets",
        ),
        (
            f"labels have an empty target beside a separator ({joined})",
            lambda targets: "" in targets,
            "complete or shorten these labels, or correct screen.separator",
        ),
        (
            "targets begin or end with white space, or contain tabs, line breaks or other "
            "control characters",
            lambda targets: any(t != t.strip() or UNPRINTED.search(t) for t in targets),
            "clean the labels, make the space a part of screen.separator, or list labels to leave "
            "out in screen.drop_labels",
        ),
        (
            "a missing value is among the targets",
            lambda targets: not missing.isdisjoint(targets),
            "name the target, or list the word in screen.ignore_labels if it means no target",
        ),
        (
            "labels name the same target twice",
            lambda targets: len(set(targets)) < len(targets),
            "name each target once: a perturbation is a set of targets",
        ),
        (
            f"{SEPARATOR!r} joins the targets of canonical names, but stands in a target's name",
            lambda targets: any(SEPARATOR in target for target in targets),
            f"add {SEPARATOR!r} to screen.separator if it separates targets, else rename them, or "
            "set screen.separator to [] if labels are never to be split",
        ),
        (
            f"{CONTROL!r} is the canonical name of the control, but another label uses it",
            lambda targets: CONTROL in targets,
            f"add {CONTROL!r} to screen.control_label if these are controls too, else list it in "
            "screen.ignore_labels or screen.drop_labels",
        ),
    ]
    for what, is_wrong, remedy in problems:
        found = sorted(
            label
            for label, tokens in split.items()
            if is_wrong([token for token in tokens if token not in no_target])
        )
        if found:
            raise InputError(what, where=where, found=map(repr, found), remedy=remedy)


def check_whole_names(split: Mapping[str, list[str]], where: str) -> None:
    """Log how labels that are not split are written; refuse those that come out the same."""
    changed = {label: name for label, (name,) in split.items() if name != label}
    if changed:
        logging.info(
            "%r joins the targets of canonical names, so within labels it becomes %r: %s",
            SEPARATOR,
            IN_WHOLE_NAMES,
            shown(f"{label!r} is {name!r}" for label, name in changed.items()),
        )
    number = Counter(name for (name,) in split.values())
    same = sorted(label for label, (name,) in split.items() if number[name] > 1)
    if same:
        raise InputError(
            f"labels are the same once {SEPARATOR!r} is written as {IN_WHOLE_NAMES!r}",
            where=where,
            found=map(repr, same),
            remedy="rename them in the file",
        )


def check_separators(
    split: Mapping[str, list[str]],
    no_target: set[str],
    genes: set[str],
    separators: Sequence[str],
    where: str,
) -> None:
    """Refuse names that are lists by another separator, and lists that are the name of a gene.

    Names of genes may contain almost any character, so a name counts as a list only where all
    its parts are known as targets or genes and the whole is not.
    """
    cut = sorted(label for label, tokens in split.items() if len(tokens) > 1 and label in genes)
    if cut:
        raise InputError(
            "a separator stands in the name of a measured gene, which would be cut in two",
            where=where,
            found=cut,
            remedy=f"use another separator than {shown(map(repr, separators))} in the labels",
        )
    targets = {token for tokens in split.values() for token in tokens}
    known = targets | genes | no_target
    for other in COMMON_SEPARATORS:
        lists = sorted(
            name
            for name in targets - genes - no_target
            if other in name and all(part.strip() in known for part in name.split(other))
        )
        if lists:
            raise InputError(
                f"labels look like lists of targets joined by {other!r}, which is not a separator",
                where=where,
                found=lists,
                remedy=f"add {other!r} to screen.separator (now {shown(map(repr, separators))}), "
                "or rename these targets if each is one target",
            )


# --- what looks like a mistake --------------------------------------------------------------------


def report_labels(
    number: Mapping[str, int],
    names: Mapping[str, str],
    control_label: str | Sequence[str],
    separator: str | Sequence[str],
    ignore_labels: Sequence[str],
    known: Collection[str],
    column: str,
) -> None:
    """Log the combinations that labels were split into, and warn of what may be a mistake.

    Parameters
    ----------
    number
        Cells of every label.
    names
        Canonical name of every label.
    control_label, separator, ignore_labels
        As in :func:`canonical_names`.
    known
        Names of the measured genes, and of the targets that stand for some.
    column
        Column of ``obs`` with the labels, for messages.
    """
    controls = listed(control_label)
    report_combinations(set(names.values()), known, listed(separator))
    cells: Counter[str] = Counter()
    for label, name in names.items():
        for target in targets_of(name):
            cells[target] += number[label]
    warn_of_look_alikes(cells, controls, ignore_labels, known, column)
    warn_of_words(cells, controls, ignore_labels, known)


def report_combinations(
    names: Collection[str], known: Collection[str], separators: Sequence[str]
) -> None:
    """Log how many combinations there are, and warn of targets that are nothing by themselves."""
    combinations = sorted(name for name in names if len(targets_of(name)) > 1)
    if not combinations:
        return
    targets = {target for name in combinations for target in targets_of(name)}
    joined = " or ".join(map(repr, separators))
    logging.info(
        "%d combinations of %d targets, labels being split at %s, such as %r",
        len(combinations),
        len(targets),
        joined,
        combinations[0],
    )
    strangers = sorted(targets - set(names) - set(known))
    if strangers:
        logging.warning(
            "%d of these targets never occur alone and are no measured genes: %s. If %s stands in "
            "their names and joins nothing, change screen.separator; [] never splits labels",
            len(strangers),
            shown(map(repr, strangers)),
            joined,
        )


def folded(name: str) -> str:
    """Return what is left of a name without case, white space and what cannot be told by eye.

    Unicode's compatible characters are brought together (NFKC) and so are dashes; characters of
    no width (category Cf, variation selectors) go.
    """
    kept = []
    for character in unicodedata.normalize("NFKC", name):
        category = unicodedata.category(character)
        if category == "Cf" or character.isspace() or "\ufe00" <= character <= "\ufe0f":
            continue
        kept.append("-" if category == "Pd" or character == "\u2212" else character)
    return "".join(kept).casefold()


def quoted(names: Iterable[str]) -> dict[str, str]:
    """Quote names that look alike, escaped where what tells them apart cannot be seen."""
    values = list(dict.fromkeys(names))
    seen = {"".join(value.split()).casefold() for value in values if value.isprintable()}
    by_eye = len(seen) == 1 and all(value.isprintable() for value in values)
    return {value: repr(value) if by_eye else ascii(value) for value in values}


def with_cells(text: Mapping[str, str], cells: Mapping[str, int]) -> str:
    """List quoted targets, each with its number of cells."""
    return shown(f"{text[name]} ({cells[name]} cells)" for name in text if name in cells)


def warn_of_look_alikes(
    cells: Mapping[str, int],
    controls: Sequence[str],
    ignore_labels: Sequence[str],
    known: Collection[str],
    column: str,
) -> None:
    """Warn of targets that differ from each other, or from a label without target, by little.

    Parameters
    ----------
    cells
        Number of cells of every target.
    controls, ignore_labels
        Labels of control cells, and labels that mean no target.
    known
        Names of the measured genes, and of the targets that stand for some.
    column
        Column of ``obs`` with the labels, for messages.
    """
    groups: dict[str, list[str]] = {}
    for name in dict.fromkeys([*controls, *ignore_labels, *cells]):
        groups.setdefault(folded(name), []).append(name)
    for group in groups.values():
        text = quoted(group)
        targets = [name for name in group if name in cells]
        others = [name for name in group if name not in cells]
        if targets and others:
            is_control = others[0] in controls
            key = "control_label" if is_control else "ignore_labels"
            own = [*(controls if is_control else ignore_labels), *targets]
            logging.warning(
                "%s: looks like %s of screen.%s, but counts as a target. If it means the same, set "
                "screen.%s to [%s]",
                with_cells(text, cells),
                " and ".join(text[name] for name in others),
                key,
                key,
                ", ".join(text.get(name, repr(name)) for name in own),
            )
        elif len(targets) > 1:
            logging.warning(
                "targets that look alike count as different ones: %s. If they are one, give them "
                "one label in obs[%r] of the file, or list labels to leave out in "
                "screen.drop_labels",
                with_cells(text, cells),
                column,
            )
    by_look: dict[str, str] = {}
    for gene in known:
        by_look.setdefault(folded(gene), gene)
    unknown = [
        name
        for name in cells
        if name not in known and by_look.get(folded(name), name) not in groups[folded(name)]
    ]
    pairs = [quoted([name, by_look[folded(name)]]).values() for name in unknown]
    if pairs:
        logging.warning(
            "%d targets are no measured genes, but look like some: %s. If they are the same, "
            "correct obs[%r] of the file, or name their genes by screen.target_genes",
            len(pairs),
            shown(f"{target} (gene {gene})" for target, gene in pairs),
            column,
        )


def warn_of_words(
    cells: Mapping[str, int],
    controls: Sequence[str],
    ignore_labels: Sequence[str],
    known: Collection[str],
) -> None:
    """Warn of targets that read like a control, or like cells without a known perturbation.

    The arguments are those of :func:`warn_of_look_alikes`, which has warned of some already.
    """
    looks = {folded(name) for name in (*controls, *ignore_labels)}
    found: dict[str, list[str]] = {"control": [], "unassigned": []}
    for name in cells:
        if name in known or folded(name) in looks:
            continue
        word = re.sub(r"[\W\d_]", "", folded(name))
        if word in CONTROL_WORDS:
            found["control"].append(name)
        elif word in UNASSIGNED_WORDS:
            found["unassigned"].append(name)
    if found["control"]:
        logging.warning(
            "%s: the name reads like a control, but counts as a target beside the control %s. If "
            "these are controls too, list them in screen.control_label; in screen.drop_labels if "
            "they are to be left out",
            with_cells(quoted(found["control"]), cells),
            shown(map(repr, controls)),
        )
    if found["unassigned"]:
        logging.warning(
            "%s: the name reads like cells of unknown perturbation, but counts as a target. If so, "
            "list it in screen.drop_labels",
            with_cells(quoted(found["unassigned"]), cells),
        )
