"""What a Python file computes, as text with gaps where it imports. Torch-free.

Comments, layout, docstrings and the wording of errors are left out, and so is all in which versions of Python write
equal code down differently.
"""

import ast
from dataclasses import dataclass
from typing import Any

SILENT = {"ctx", "kind", "type_comment", "type_ignores"}  # fields that follow from the others, or that nothing reads


@dataclass(frozen=True)
class Imported:
    """One name that an import statement binds: `from <level dots><module> import <attribute> as <local>`.

    attribute: None where the module itself is bound. local: the words by which code uses it, all of a.b after `import a.b`.
    """

    level: int
    module: str
    attribute: str | None
    local: str


# Text, or the imports that stand side by side in a body: their order is the formatter's.
Piece = str | tuple[Imported, ...]


def pieces(source: bytes) -> tuple[Piece, ...]:
    """The file in its order; empty where it computes nothing. Raises SyntaxError or ValueError where it is no Python."""
    writer = _Writer()
    writer.body(ast.parse(source).body)
    writer.end_text()
    return tuple(writer.pieces)


class _Writer:
    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.text: list[str] = []

    def end_text(self) -> None:
        if self.text:
            self.pieces.append("".join(self.text))
            self.text = []

    def body(self, statements: list[ast.stmt]) -> None:
        neighbors: list[Imported] = []
        for statement in statements:
            if isinstance(statement, (ast.Import, ast.ImportFrom)):
                neighbors += _imported(statement)
            elif not _idle(statement):
                self.imports(neighbors)
                neighbors = []
                self.node(statement)
        self.imports(neighbors)

    def imports(self, neighbors: list[Imported]) -> None:
        if neighbors:
            self.end_text()
            self.pieces.append(tuple(neighbors))

    def node(self, node: ast.AST) -> None:
        write = self.text.append
        kind = node.__class__
        if kind is ast.Name:
            write(f"({node.id})")
            return
        if kind is ast.Constant:
            write(f"<{node.value!r}>")
            return
        if kind is ast.Raise and isinstance(node.exc, ast.Call):
            _without_wording(node.exc)
        write(f"({kind.__name__}")
        for name in node._fields:
            if name not in SILENT and (value := getattr(node, name, None)) is not None and value != []:
                write(f" {name}=")
                self.value(value)
        self.text.append(")")

    def value(self, value: Any) -> None:
        if isinstance(value, ast.AST):
            self.node(value)
        elif not isinstance(value, list):
            self.text.append(repr(value))
        else:
            self.text.append("[")
            if isinstance(value[0], ast.stmt):
                self.body(value)
            else:
                for item in value:
                    self.value(item)
                    self.text.append(",")
            self.text.append("]")


def _imported(statement: ast.Import | ast.ImportFrom) -> list[Imported]:
    if isinstance(statement, ast.Import):
        return [Imported(0, alias.name, None, alias.asname or alias.name) for alias in statement.names]
    level, module = statement.level, statement.module or ""
    return [Imported(level, module, alias.name, alias.asname or alias.name) for alias in statement.names]


def _idle(statement: ast.stmt) -> bool:
    """A docstring or another constant that stands alone, or `pass`."""
    return isinstance(statement, ast.Pass) or (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))


def _without_wording(raised: ast.Call) -> None:
    """Drop the texts that an exception is made of. Its numbers stay: a run that diverges is recorded with its step."""
    raised.args = [argument for argument in raised.args if not _is_text(argument)]
    raised.keywords = [keyword for keyword in raised.keywords if not _is_text(keyword.value)]


def _is_text(node: ast.expr) -> bool:
    match node:
        case ast.JoinedStr() | ast.Constant(value=str()) | ast.Call(func=ast.Attribute(value=ast.Constant(value=str()))):
            return True
        case ast.BinOp(left=left, op=ast.Add(), right=right) | ast.IfExp(body=left, orelse=right):
            return _is_text(left) and _is_text(right)
        case _:
            return False
