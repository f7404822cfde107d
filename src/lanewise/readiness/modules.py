"""What one file defines: names, classes, functions and who contains whom."""

from __future__ import annotations

import ast
from collections import defaultdict
from dataclasses import dataclass, field

from lanewise.readiness.syntax import FunctionNode, last_name, method_call

# One object each in the whole interpreter: they have no place of their own.
_TOKENS = (ast.expr_context, ast.operator, ast.unaryop, ast.cmpop, ast.boolop)


@dataclass(frozen=True, slots=True)
class Bound:
    """One binding of a name or an attribute.

    Attributes:
        value: The expression bound, or None where no single expression says it (loops, deletions,
            augmented assignments).
        node: The target.
        function: In which function, or None for the module's or the class's own statements.
        entered: Bound by ``with value as name``.
    """

    value: ast.expr | None
    node: ast.expr
    function: Function | None
    entered: bool = False


@dataclass(eq=False, slots=True)
class Function:
    """A function, method or lambda, with the names that it binds."""

    module: Module
    node: FunctionNode
    name: str
    qualname: str
    owner: ClassInfo | None
    parent: Function | None
    params: list[str]
    locals: set[str] = field(default_factory=set)
    globals: set[str] = field(default_factory=set)
    nonlocals: set[str] = field(default_factory=set)
    bound: dict[str, list[Bound]] = field(default_factory=lambda: defaultdict(list))
    imports: dict[str, str] = field(default_factory=dict)
    functions: dict[str, Function] = field(default_factory=dict)
    classes: dict[str, ClassInfo] = field(default_factory=dict)
    nodes: list[ast.AST] = field(default_factory=list)
    is_generator: bool = False
    in_main_guard: bool = False

    @property
    def full_name(self) -> str:
        """The dotted name, with the module's."""
        return f"{self.module.name}.{self.qualname}"

    @property
    def is_async(self) -> bool:
        """Whether it is a coroutine function."""
        return isinstance(self.node, ast.AsyncFunctionDef)

    @property
    def decorators(self) -> list[ast.expr]:
        """The expressions above its def."""
        return [] if isinstance(self.node, ast.Lambda) else self.node.decorator_list

    @property
    def body(self) -> list[ast.stmt]:
        """Its statements; none for a lambda."""
        return [] if isinstance(self.node, ast.Lambda) else self.node.body

    @property
    def kind_of_method(self) -> str:
        """``instance``, ``class`` or ``static`` for methods, ``function`` for others."""
        if self.owner is None:
            return "function"
        names = {d.id for d in self.decorators if isinstance(d, ast.Name)}
        if "staticmethod" in names:
            return "static"
        if "classmethod" in names or self.name in (
            "__new__", "__init_subclass__", "__class_getitem__",
        ):  # fmt: skip
            return "class"
        return "instance"


@dataclass(eq=False, slots=True)
class ClassInfo:
    """A class: what its body binds and what its methods bind on ``self``."""

    module: Module
    node: ast.ClassDef
    name: str
    qualname: str
    function: Function | None
    methods: dict[str, Function] = field(default_factory=dict)
    body: dict[str, list[Bound]] = field(default_factory=lambda: defaultdict(list))
    on_self: dict[str, list[Bound]] = field(default_factory=lambda: defaultdict(list))

    @property
    def full_name(self) -> str:
        """The dotted name, with the module's."""
        return f"{self.module.name}.{self.qualname}"


@dataclass(eq=False, slots=True)
class Module:
    """One file, read."""

    name: str
    relative: str
    is_package: bool
    tree: ast.Module
    imports: dict[str, str] = field(default_factory=dict)
    star_imports: list[str] = field(default_factory=list)
    names: dict[str, list[Bound]] = field(default_factory=lambda: defaultdict(list))
    classes: dict[str, ClassInfo] = field(default_factory=dict)
    functions: dict[str, Function] = field(default_factory=dict)
    all_classes: list[ClassInfo] = field(default_factory=list)
    all_functions: list[Function] = field(default_factory=list)
    nodes: list[ast.AST] = field(default_factory=list)
    main_guard: set[ast.AST] = field(default_factory=set)
    parents: dict[ast.AST, ast.AST] = field(default_factory=dict)
    function_at: dict[ast.AST, Function] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Scope:
    """Where a node stands."""

    function: Function | None
    owner: ClassInfo | None  # of the innermost class body; None inside a function of its own
    guard: bool  # below ``if __name__ == "__main__"``


def read_module(name: str, relative: str, tree: ast.Module) -> Module:
    """Collect what a file defines. Works without recursion, so depth is no limit."""
    module = Module(name, relative, relative.endswith("__init__.py"), tree)
    stack: list[tuple[ast.AST, _Scope]] = []
    top = _Scope(None, None, guard=False)
    stack.extend((node, top) for node in reversed(tree.body))
    for statement in tree.body:
        module.parents[statement] = tree
    while stack:
        node, scope = stack.pop()
        _enter(module, node, scope)
        children = list(_children(module, node, scope))
        for child, _ in children:
            module.parents[child] = node
        stack.extend(reversed(children))
    return module


def _enter(module: Module, node: ast.AST, scope: _Scope) -> None:
    holder = module if scope.function is None else scope.function
    holder.nodes.append(node)
    if scope.function is None and scope.guard:
        module.main_guard.add(node)
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        _enter_import(module, node, scope)
    elif isinstance(node, (ast.Name, ast.Attribute)):
        if not isinstance(node.ctx, ast.Load):
            _enter_target(module, node, scope)
    elif scope.function is not None:
        _enter_rest(node, scope.function)


def _enter_rest(node: ast.AST, function: Function) -> None:
    if isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)):
        if node.name:
            function.locals.add(node.name)
    elif isinstance(node, ast.Global):
        function.globals.update(node.names)
    elif isinstance(node, ast.Nonlocal):
        function.nonlocals.update(node.names)
    elif isinstance(node, (ast.Yield, ast.YieldFrom)):
        function.is_generator = True


def _children(module: Module, node: ast.AST, scope: _Scope) -> list[tuple[ast.AST, _Scope]]:
    if isinstance(node, FunctionNode):
        return _function_children(module, node, scope)
    if isinstance(node, ast.ClassDef):
        return _class_children(module, node, scope)
    if isinstance(node, ast.If) and scope.function is None and _is_main_test(node.test):
        inner = _Scope(None, scope.owner, guard=True)
        return [
            (child, inner if child in node.body else scope) for child in ast.iter_child_nodes(node)
        ]
    if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
        # Never run: only the names that it imports matter, for those in annotations.
        imports = [s for s in node.body if isinstance(s, (ast.Import, ast.ImportFrom))]
        return [(child, scope) for child in (*imports, *node.orelse)]
    return [
        (child, scope) for child in ast.iter_child_nodes(node) if not isinstance(child, _TOKENS)
    ]


def _is_main_test(test: ast.expr) -> bool:
    """``__name__ == "__main__"``, also as one of several conditions that must all hold."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        return any(_is_main_test(value) for value in test.values)
    return isinstance(test, ast.Compare) and "__name__" in ast.unparse(test)


def _function_children(
    module: Module, node: FunctionNode, scope: _Scope
) -> list[tuple[ast.AST, _Scope]]:
    name = "<lambda>" if isinstance(node, ast.Lambda) else node.name
    prefix = ""
    if scope.owner is not None:
        prefix = scope.owner.qualname + "."
    elif scope.function is not None:
        prefix = scope.function.qualname + "."
    arguments = node.args
    params = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    params += [a.arg for a in (arguments.vararg, arguments.kwarg) if a is not None]
    function = Function(
        module, node, name, prefix + name, scope.owner, scope.function, params, set(params)
    )
    function.in_main_guard = scope.guard
    module.all_functions.append(function)
    module.function_at[node] = function
    _define(module, function, scope)
    outside: list[ast.AST] = [*arguments.defaults, *(d for d in arguments.kw_defaults if d)]
    outside += function.decorators
    body = [node.body] if isinstance(node, ast.Lambda) else node.body
    inner = _Scope(function, None, scope.guard)
    return [(child, scope) for child in outside] + [(child, inner) for child in body]


def _define(module: Module, function: Function, scope: _Scope) -> None:
    if isinstance(function.node, ast.Lambda):
        return
    if scope.owner is not None:
        # The getter of a property, not its setter, is what the name stands for.
        scope.owner.methods.setdefault(function.name, function)
    elif scope.function is not None:
        scope.function.functions[function.name] = function
        scope.function.locals.add(function.name)
    else:
        module.functions.setdefault(function.name, function)


def _class_children(
    module: Module, node: ast.ClassDef, scope: _Scope
) -> list[tuple[ast.AST, _Scope]]:
    prefix = ""
    if scope.owner is not None:
        prefix = scope.owner.qualname + "."
    elif scope.function is not None:
        prefix = scope.function.qualname + "."
    info = ClassInfo(module, node, node.name, prefix + node.name, scope.function)
    module.all_classes.append(info)
    if scope.owner is None and scope.function is None:
        module.classes.setdefault(node.name, info)
    elif scope.owner is None and scope.function is not None:
        scope.function.classes[node.name] = info
        scope.function.locals.add(node.name)
    outside = [*node.decorator_list, *node.bases, *(k.value for k in node.keywords)]
    inner = _Scope(scope.function, info, scope.guard)
    return [(child, scope) for child in outside] + [(child, inner) for child in node.body]


def _enter_import(module: Module, node: ast.Import | ast.ImportFrom, scope: _Scope) -> None:
    names = module.imports if scope.function is None else scope.function.imports
    for alias in node.names:
        if isinstance(node, ast.Import):
            local = alias.asname or alias.name.split(".")[0]
            target = alias.name if alias.asname else local
        else:
            if alias.name == "*":
                module.star_imports.append(_base_of(module, node))
                continue
            local = alias.asname or alias.name
            target = f"{_base_of(module, node)}.{alias.name}"
        names[local] = target
        if scope.function is not None:
            scope.function.locals.add(local)


def _base_of(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = module.name.split(".")
    keep = len(parts) - node.level + (1 if module.is_package else 0)
    base = parts[: max(keep, 0)]
    return ".".join([*base, node.module] if node.module else base)


def _enter_target(module: Module, node: ast.Name | ast.Attribute, scope: _Scope) -> None:
    value, entered = _value_for(module, node)
    bound = Bound(value, node, scope.function, entered)
    if isinstance(node, ast.Attribute):
        _enter_attribute(node, bound, scope)
    elif scope.owner is not None:
        scope.owner.body[node.id].append(bound)
    elif scope.function is not None:
        scope.function.locals.add(node.id)
        scope.function.bound[node.id].append(bound)
    else:
        module.names[node.id].append(bound)


def _enter_attribute(node: ast.Attribute, bound: Bound, scope: _Scope) -> None:
    function = scope.function
    while function is not None and function.owner is None:
        function = function.parent  # a function inside a method sees the method's self
    if (
        function is not None
        and function.owner is not None
        and function.kind_of_method == "instance"
        and function.params
        and isinstance(node.value, ast.Name)
        and node.value.id == function.params[0]
    ):
        function.owner.on_self[node.attr].append(bound)


def _value_for(module: Module, node: ast.expr) -> tuple[ast.expr | None, bool]:
    parent = module.parents.get(node)
    if isinstance(parent, ast.Assign) and node in parent.targets:
        return parent.value, False
    if isinstance(parent, (ast.AnnAssign, ast.NamedExpr)) and parent.target is node:
        return parent.value, False
    if isinstance(parent, ast.withitem):
        return parent.context_expr, True
    if isinstance(parent, ast.Tuple):
        above = module.parents.get(parent)
        value = above.value if isinstance(above, ast.Assign) else None
        if isinstance(value, ast.Tuple) and len(value.elts) == len(parent.elts):
            return value.elts[parent.elts.index(node)], False
    return None, False


def enclosing_method(function: Function | None) -> Function | None:
    """Return the method that a function is, or is defined in."""
    current = function
    while current is not None and current.owner is None:
        current = current.parent
    return current


def gives(function: Function) -> ast.expr | None:
    """Return the one value that a function without other statements returns, else None.

    A docstring, asserts and local names for what lies on the way are no such statements.
    """
    if isinstance(function.node, ast.Lambda):
        return function.node.body
    *before, last = function.body
    plain = all(
        (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))
        or isinstance(s, (ast.Assert, ast.Global, ast.Assign, ast.AnnAssign))
        for s in before
    )
    return last.value if plain and isinstance(last, ast.Return) else None


def looped_over(bound: Bound, function: Function) -> ast.expr | None:
    """Return the mapping that a loop takes a value from: ``for key, job in JOBS.items()``."""
    parents = function.module.parents
    target: ast.AST = bound.node
    parent, method = parents.get(target), "values"
    if isinstance(parent, ast.Tuple) and len(parent.elts) == 2 and parent.elts[1] is target:  # noqa: PLR2004 - because: key and value
        target, parent, method = parent, parents.get(parent), "items"
    if not isinstance(parent, (ast.For, ast.comprehension)) or parent.target is not target:
        return None
    call = parent.iter
    if isinstance(call, ast.Call) and last_name(call) in ("list", "tuple") and len(call.args) == 1:
        call = call.args[0]
    return method_call(call, method)


def is_swap(bound: Bound, module: Module) -> bool:
    """``mine, self.waiting = self.waiting, []``: from then on nobody else has what was in it."""
    pair = module.parents.get(bound.node)
    if bound.value is None or not isinstance(pair, ast.Tuple):
        return False
    given = ast.unparse(bound.value)
    return any(one is not bound.node and ast.unparse(one) == given for one in pair.elts)
