"""Reading one policy document: its parts on their way into the core, each complaint with the line."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence

from driftd.core import globs, identity, patterns
from driftd.core.errors import BadInput
from driftd.core.expect import TEMPLATES, Expect
from driftd.core.facts import FACT_KINDS
from driftd.core.globs import BadGlobError, Glob
from driftd.core.packs import When
from driftd.core.rules import NO_PATHS, Match, Rule, Source, too_broad
from driftd.core.showable import Show
from driftd.core.transacted import UNPROVEN, Transacted
from driftd.edges.documents.policymodels import PackModel, SessionMatch, TransactionMatch
from driftd.yamltext import Located

_NARROWER = "name the files one by one; only a file's own name may have a wildcard there, after three plain letters"
_GLOBS = "docs/policy.md tells how globs are written"


def rules_of(document: Located, pack: PackModel) -> tuple[Rule, ...]:
    """Every rule of ``pack``, from top to bottom. Raises BadInput with file, line and remedy."""
    return tuple(_Reading(document, pack, index).rule() for index in range(len(pack.rules)))


def shows_of(document: Located, pack: PackModel) -> tuple[Show, ...]:
    """Every path that ``pack`` lists as showable. Raises BadInput."""
    return tuple(
        Show(glob, model.format, _listed(document, globs.word, model.secrets, "show", at, "secrets"))
        for at, model in enumerate(pack.show)
        for glob in _listed(document, globs.path, model.path, "show", at, "path")
    )


def when_of(document: Located, pack: PackModel) -> When:
    """What ``pack`` is for. Raises BadInput."""
    if pack.when is None:
        return When()
    if not pack.when.model_fields_set:
        line = document.line(("when",))
        raise BadInput(f"{document.name}:{line}: when says nothing", "add packages, paths or os, or leave it out")
    return When(
        packages=_listed(document, globs.word, pack.when.packages, "when", "packages"),
        paths=_listed(document, globs.path, pack.when.paths, "when", "paths"),
        os=tuple(pack.when.os or ()),
    )


def _listed(
    document: Located, read: Callable[[str], Glob], texts: Sequence[str] | None, *place: str | int
) -> tuple[Glob, ...]:
    found = []
    for at, text in enumerate(texts or ()):
        try:
            found.append(read(text))
        except BadGlobError as error:
            raise BadInput(f"{document.name}:{document.line((*place, at))}: {text!r}: {error}", _GLOBS) from None
    return tuple(found)


class _Reading:
    """One rule of a document, on its way into the core; complains with the line."""

    def __init__(self, document: Located, pack: PackModel, index: int) -> None:
        self._document = document
        self._pack = pack
        self._index = index
        self._model = pack.rules[index]

    def rule(self) -> Rule:
        model = self._model
        if any(other.id == model.id for other in self._pack.rules[: self._index]):
            raise self._bad("id", f"another rule above is called {model.id!r}", "give each rule a name of its own")
        if not model.because.strip():
            raise self._bad("because", "it gives no reason", "say why this may be so, for whoever reads it next year")
        self._check_outcome()
        rule = Rule(
            pack=self._pack.name,
            id=model.id,
            match=self._match(),
            because=" ".join(model.because.split()),
            where=f"{self._document.name}:{self._line()}",
            expect=model.expect,
            template=model.template or "",
            pattern=model.pattern or "",
            severity=model.severity,
            action=model.action,
            owner=model.owner,
            expires=model.expires,
            evidence=tuple(model.evidence or ()),
        )
        if rule.match.transaction is not None and rule.passes and not rule.proven:
            raise self._bad("match", UNPROVEN, "say level: verified, or let it alert", "transaction")
        if rule.expect and rule.match.covers() & (NO_PATHS | {identity.KIND}):
            raise self._bad("expect", "expectations are about paths", "use action: explain, or match a path")
        why = too_broad(rule)
        if why:
            raise self._bad("match", why, _NARROWER if rule.match.paths else "say which ones, by name")
        return rule

    def _line(self, *place: str | int) -> int:
        return self._document.line(("rules", self._index, *place))

    def _bad(self, field: str, what: str, hint: str, *place: str | int) -> BadInput:
        where = self._line(field, *place)
        return BadInput(f"{self._document.name}:{where}: rule {self._model.id!r}: {what}", hint)

    def _check_outcome(self) -> None:
        model = self._model
        if model.expect is not None and (model.severity or model.action):
            raise self._bad("expect", "it has both expect and severity or action", "keep one of the two")
        if model.expect is None and model.severity is None and model.action is None:
            raise self._bad("id", "it says what it matches and not what then", "add expect, or severity and action")
        if model.template is not None and model.expect is not Expect.TEMPLATE:
            raise self._bad("template", "template goes with expect: template", "say expect: template, or remove it")
        self._check_form()

    def _check_form(self) -> None:
        model = self._model
        if model.pattern is not None:
            if model.expect is not Expect.TEMPLATE or model.template is not None:
                raise self._bad("pattern", "pattern goes with expect: template, in place of a template", "remove one")
            if why := patterns.why_not(model.pattern):
                raise self._bad("pattern", why, "write one of Python's, for the whole content of the file")
        elif model.expect is Expect.TEMPLATE and model.template not in TEMPLATES:
            known = f"known: {', '.join(TEMPLATES)}"
            if model.template is None:
                raise self._bad("expect", "it does not say which template, and brings no pattern", known)
            raise self._bad("template", f"there is no template {model.template!r}", known)

    def _match(self) -> Match:
        model = self._model.match
        if not model.model_fields_set:
            raise self._bad(
                "match", "it matches everything", "say which path or kind, or which package, account, listener"
            )
        about = [name for name in (*FACT_KINDS, "session") if getattr(model, name) is not None]
        if len(about) + (model.path is not None) > 1:
            both = " and ".join([*(["path"] if model.path is not None else []), *about])
            raise self._bad("match", f"nothing is {both} at once", "write a rule for each")
        if model.fields and model.session is not None:
            raise self._bad("match", "a session has no fields besides its own", "remove fields, or session")
        match = Match(
            paths=self._globs("path", model.path, globs.path) + self._below_open(model.path),
            kinds=frozenset(model.kind or ()),
            changes=frozenset(model.change or ()),
            facts={
                kind: self._globs(kind, getattr(model, kind), globs.word)
                for kind in FACT_KINDS
                if getattr(model, kind) is not None
            },
            fields={
                name: self._globs("fields", texts, globs.word) for name, texts in sorted((model.fields or {}).items())
            },
            session=self._session(model.session),
            transaction=self._transaction(model.transaction),
        )
        if not match.covers():
            raise self._bad("match", "no difference is of this kind and this path at once", "remove one of the two")
        return match

    def _below_open(self, paths: Sequence[str] | None) -> tuple[Glob, ...]:
        """A rule of an open directory speaks of all that is below it, too."""
        if self._model.expect is not Expect.OPEN_DIR:
            return ()
        return self._globs(
            "path", [f"{text.rstrip('/')}/**" for text in paths or () if not text.endswith("/**")], globs.path
        )

    def _globs(self, field: str, texts: Sequence[str] | None, read: Callable[[str], Glob]) -> tuple[Glob, ...]:
        found = []
        for at, text in enumerate(texts or ()):
            try:
                found.append(read(text))
            except BadGlobError as error:
                raise self._bad("match", f"{text!r}: {error}", _GLOBS, field, at) from None
        return tuple(found)

    def _transaction(self, model: TransactionMatch | None) -> Transacted | None:
        if model is None:
            return None
        if self._model.expect is not None:
            raise self._bad("expect", "what a transaction explains is explained or not", "use action: explain")
        if self._model.match.session is not None:
            raise self._bad("match", "no session comes of a package transaction", "remove one of the two")
        return Transacted(self._globs("transaction", model.package, globs.word), model.level)

    def _session(self, model: SessionMatch | None) -> dict[str, tuple[Glob | Source, ...]]:
        if model is None:
            return {}
        if not model.model_fields_set:
            raise self._bad("match", "session names no field", "add door, kind, user, source, key, key_id or evidence")
        found: dict[str, tuple[Glob | Source, ...]] = {}
        for field in sorted(model.model_fields_set):
            compiled = self._globs(field, getattr(model, field), globs.word)
            found[field] = tuple(map(_source, compiled)) if field == "source" else compiled
        return found


def _source(glob: Glob) -> Source:
    try:
        return Source(ipaddress.ip_network(glob.text), glob)
    except ValueError:
        return Source(None, glob)
