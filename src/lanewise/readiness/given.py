"""What parameters stand for: objects that every thread is given, by hand-overs and by plain calls."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lanewise.readiness.hand_overs import HandOver, loop_around, thread_objects
from lanewise.readiness.kinds import Kind
from lanewise.readiness.locks import Locks
from lanewise.readiness.making import UNKNOWN, Made
from lanewise.readiness.modules import ClassInfo, Function
from lanewise.readiness.references import References
from lanewise.readiness.shared import Resolver

# What an argument passes on by reference; of a number the other side gets the value only.
_BY_REFERENCE = frozenset({Kind.CONTAINER, Kind.INSTANCE, Kind.GENERATOR, Kind.ITERATOR})
_MOST_CALLS = 3  # from the owner through one helper to the next
_Once = set[tuple[Function, Function, str, str]]


class Given:
    """Tells the resolver what it may take parameters for."""

    def __init__(self, resolver: Resolver, references: References) -> None:
        self._resolver = resolver
        self._project = resolver.project
        self._references = references

    def by_hand_overs(self, hand_overs: list[HandOver]) -> None:
        """Mark what hand-overs give to several threads."""
        once: _Once = set()
        for hand_over in (*hand_overs, *thread_objects(self._project)):
            if not hand_over.in_turn:
                for name, argument in _pairs(hand_over):
                    self._mark(hand_over, name, argument, once)

    def _mark(self, hand_over: HandOver, name: str, argument: ast.expr, once: _Once) -> None:
        """What is bound before a loop of hand-overs and given by each of them is shared by all.

        So is what two hand-overs give; those that were seen once are noted in ``once``.
        """
        giver = hand_over.function
        if giver is None or not isinstance(argument, ast.Name) or argument.id not in giver.locals:
            self._mark_known(hand_over, name, argument)
            return
        bounds = giver.bound.get(argument.id, [])
        loop = loop_around(hand_over.node, giver.module, giver)
        if loop is None and not hand_over.repeated:
            given = (giver, hand_over.target, name, argument.id)
            if given not in once or len(bounds) > 1:
                once.add(given)
                return
        elif loop is not None and any(b.node is n for b in bounds for n in ast.walk(loop)):
            return
        if argument.id in giver.params and not bounds:
            made = self._of_param(giver, argument.id)
        else:
            made = self._resolver.maker.merged(bounds, giver, giver.module)
        self._note(hand_over.target, name, made)

    def _note(self, target: Function, name: str, made: Made) -> None:
        if made.kind is Kind.OTHER:
            return
        self._resolver.shared_params.setdefault((target, name), made)
        if made.info is not None:
            self._resolver.crowded_classes.update(self._project.bases(made.info))

    def _mark_known(self, hand_over: HandOver, name: str, argument: ast.expr) -> None:
        """A module's global, or ``self.stats`` for each of many threads."""
        giver, module = hand_over.function, hand_over.target.module
        if giver is not None:
            shared = self._resolver.resolve(argument, giver)
            if shared is not None and shared.kind in _BY_REFERENCE:
                self._resolver.origins.setdefault((hand_over.target, name), shared)
            elif shared is None and hand_over.repeated and isinstance(argument, ast.Attribute):
                info = self._resolver.self_meant(argument.value, giver)
                bounds = [] if info is None else info.on_self.get(argument.attr, [])
                self._note(
                    hand_over.target, name, self._resolver.maker.merged(bounds, None, giver.module)
                )
            return
        made = self._resolver.maker.made(argument, None, module)
        if isinstance(argument, ast.Name) and made.kind in _BY_REFERENCE:
            self._note(hand_over.target, name, made)

    def _of_param(self, function: Function, name: str) -> Made:
        """What a parameter is: by its annotation, or by what the callers give."""
        info = annotated(function, name, self._resolver)
        if info is not None:
            return self._resolver.maker.instance(info)
        for use in self._references.of(function):
            call = use.module.parents.get(use.node)
            if use.how != "call" or not isinstance(call, ast.Call):
                continue
            for given, argument in _arguments(call, function, bound=function.owner is not None):
                if given != name:
                    continue
                made = self._made(argument, use.function) if use.function else UNKNOWN
                if made.kind is not Kind.OTHER:
                    return made
        return UNKNOWN

    def _made(self, argument: ast.expr, caller: Function) -> Made:
        if isinstance(argument, ast.Name) and argument.id in caller.bound:
            bounds = caller.bound[argument.id]
            return self._resolver.maker.merged(bounds, caller, caller.module)
        return self._resolver.maker.made(argument, caller, caller.module)

    def by_calls(self, running: list[Function], locks: Locks) -> None:
        """Mark parameters that a running function gives something shared, no lock being held."""
        for _ in range(_MOST_CALLS):
            before = len(self._resolver.origins)
            for function in running:
                for call in function.nodes:
                    if isinstance(call, ast.Call) and (call.args or call.keywords):
                        self._by_call(call, function, locks)
            if len(self._resolver.origins) == before:
                return

    def _by_call(self, call: ast.Call, function: Function, locks: Locks) -> None:
        target, bound = self._called(call, function)
        if target is None or target is function:
            return
        for name, argument in _arguments(call, target, bound=bound):
            key = (target, name)
            if key in self._resolver.origins or name in target.bound:
                continue
            shared = self._resolver.resolve(argument, function)
            if shared is None or not (shared.is_item or shared.kind in _BY_REFERENCE):
                continue
            if shared.is_item and not isinstance(argument, (ast.Name, ast.Subscript)):
                continue
            if not locks.regions(call, function, shared):
                self._resolver.origins[key] = shared

    def _called(self, call: ast.Call, function: Function) -> tuple[Function | None, bool]:
        """The function, and whether it is bound to an object that stands before its arguments."""
        entity = self._project.entity(call.func, function, function.module)
        if isinstance(entity, Function):
            return entity, entity.kind_of_method == "class"
        if isinstance(entity, ClassInfo):
            return self._project.method(entity, "__init__"), True
        if isinstance(call.func, ast.Attribute):
            info = self._resolver.self_meant(call.func.value, function)
            method = None if info is None else self._project.method(info, call.func.attr)
            return method, method is not None and method.kind_of_method != "static"
        return None, False


def annotated(function: Function, name: str, resolver: Resolver) -> ClassInfo | None:
    """Return the class of the project that a parameter is annotated with."""
    if isinstance(function.node, ast.Lambda):
        return None
    arguments = function.node.args
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        if argument.arg == name and argument.annotation is not None:
            node = argument.annotation
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                node = ast.Name(node.value, ast.Load()) if node.value.isidentifier() else node
            entity = resolver.project.entity(node, function.parent, function.module)
            return entity if isinstance(entity, ClassInfo) else None
    return None


def _pairs(hand_over: HandOver) -> Iterator[tuple[str, ast.expr]]:
    params = hand_over.target.params[1 if hand_over.bound else 0 :]
    yield from zip(params, hand_over.arguments, strict=False)
    yield from ((n, value) for n, value in hand_over.named if n in hand_over.target.params)


def _arguments(call: ast.Call, target: Function, *, bound: bool) -> Iterator[tuple[str, ast.expr]]:
    """Yield what a call gives to which parameter, as far as the text says it."""
    for name, argument in zip(target.params[1 if bound else 0 :], call.args, strict=False):
        if isinstance(argument, ast.Starred):
            break
        yield name, argument
    for keyword in call.keywords:
        if keyword.arg in target.params:
            yield keyword.arg, keyword.value
