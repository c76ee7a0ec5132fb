"""What the fields of option files are made of: kinds of values, and marks that pydantic does not know."""

from dataclasses import dataclass
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

IN_TRAINING = 'in training'  # marks what is needed in training alone and, in a data set, read in training alone


def _for_editors(schema: dict, model: type['Section']) -> None:
    """A JSON schema without titles, and without what is needed in training alone: it is that of tests, too."""
    for key, node in schema['properties'].items():
        node.pop('title', None)
        if node.get('default', '') is None or isinstance(inner(keys(model)[key]), type):
            node.pop('default', None)
    schema['required'] = [key for key in schema.get('required', ()) if IN_TRAINING not in keys(model)[key].metadata]


class Section(BaseModel):
    """A section: other keys than its own are errors, and nothing is converted (1 is no bool, '1' no number)."""

    model_config = ConfigDict(extra='forbid', strict=True, allow_inf_nan=False, protected_namespaces=(),
                              json_schema_extra=_for_editors)


@dataclass(frozen=True, eq=False)
class ByType:
    """Marks a section whose ``type`` says what else it holds: one of ``models``, or what BasicSR has registered."""

    kind: str
    models: dict[str, type[Section]] | None = None
    extra: type[Section] = Section  #: holds the keys that are there beside those of the type

    def __get_pydantic_json_schema__(self, core_schema, handler) -> dict:
        return {'kind': self.kind}  # mssr_options.reference puts a definition there


def about(meaning: str, default: Any = ..., **bounds) -> Any:
    """A field and its meaning, with unit; without a default (None: none is documented), the key must be there."""
    return Field(default, description=meaning, **bounds)


def keys(model: type[Section]) -> dict[str, FieldInfo]:
    """The fields of a section under the names that an option file has."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def inner(field: FieldInfo) -> ByType | type[Section] | None:
    """What a field holds, perhaps in a list or under names: sections by type, a section, or plain values (None)."""
    todo = [field.annotation, *field.metadata]
    while todo:
        part = todo.pop()
        if isinstance(part, ByType) or (isinstance(part, type) and issubclass(part, Section)):
            return part
        todo += get_args(part)
    return None


def meaning(field: FieldInfo) -> str:
    """What a key is for; that of a section says so itself, or what it is derived from does."""
    return field.description or next(cls.__doc__ for cls in inner(field).__mro__ if cls.__doc__)


def _ascending(pair: list) -> list:
    if pair[0] > pair[1]:
        raise ValueError(f'must go from the lower to the higher value, not from {pair[0]} to {pair[1]}')
    return pair


def _whole(value: float) -> float:
    if not value.is_integer():  # pydantic's multiple_of lets numbers pass that are nearly 0
        raise PydanticCustomError('multiple_of', 'must be a whole number')
    return value


Text = Annotated[str, StringConstraints(pattern=r'\S')]
File = Annotated[Text, WithJsonSchema({'type': 'string', 'format': 'file'})]
Folder = Annotated[Text, WithJsonSchema({'type': 'string', 'format': 'folder'})]
Whole = Annotated[int, Field(ge=0)]
Natural = Annotated[int, Field(ge=1)]
Iterations = Annotated[float, Field(multiple_of=1, ge=0), AfterValidator(_whole)]  # may be written 5e3
Every = Annotated[float, Field(multiple_of=1, ge=1), AfterValidator(_whole)]
Number = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Shares = Annotated[list[Number], Field(min_length=2, max_length=2), AfterValidator(_ascending)]
Qualities = Annotated[list[Annotated[int, Field(ge=1, le=100)]], Field(min_length=2, max_length=2),
                      AfterValidator(_ascending)]
Network = Annotated[dict, ByType('network')]
Loss = Annotated[dict, ByType('loss')]
