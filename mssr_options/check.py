"""Finds keys that nothing reads and values that cannot be meant, before anything is built."""

from functools import cache
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from mssr_options import components
from mssr_options.fields import IN_TRAINING, ByType, Section, inner, keys, meaning
from mssr_options.parts import DATASETS, DataSet
from mssr_options.reader import KeyPath, Source, dotted, source_of
from mssr_options.report import Report, choices, did_you_mean, nearest, schema_of, show, words
from mssr_options.rules import Rules
from mssr_options.schema import MODELS, LearnedGANTrain, Options

# Names that options had before, and one that the published configuration has.
_GONE = {
    'adapt_weight': 'the published configuration lists it, but nothing ever read it; the weight of adaptation is '
    'train.adapt_ramp and train.adapt_opt.loss_weight',
    'lq_refresh': 'it was removed: generated LR is drawn anew in each iteration, as it was with lq_refresh: 1',
    'paired_augment': 'it was removed: the crops are of different scenes, and are flipped and turned separately',
    'crops_per_image': 'it was removed: each crop is cut from a photo of its own; cache_data keeps small sets decoded',
}
_OURS = ('LinearDecayLR', 'AdamW', 'AdamWScheduleFree')  # which BasicSR's own models do not know
_PHASES = {True: ('train', 'val'), False: ('test', 'val')}


class Visit(NamedTuple):
    """A section that the options hold: where, its kind (``section``, ``network``, ...), its content and its model."""

    path: KeyPath
    kind: str
    value: dict
    model: type[Section]


def check_options(opt: dict, source: Source | str | None = None, is_train: bool = True) -> None:
    """Check options as they were read, before BasicSR adds its own; they are not changed.

    Every key must be one that the model, data set, network, loss, metric, optimizer or schedule named beside it reads;
    every value must be of its kind, and the values must fit each other. Models and data sets of BasicSR and of others
    may read keys that are not listed here: such keys pass.

    Args:
        opt: options from :func:`mssr_options.reader.read_options`, or any nested dict.
        source: where they stand: a :class:`Source`, or the option file; by default what ``opt`` remembers.
        is_train: whether they are for training (else for testing).

    Raises:
        UserError: all mistakes, one a line, each with file, line, key, and the key or value that may have been meant.
    """
    checker = Checker(opt, source_of(opt, source), is_train)
    Rules(checker).run()
    checker.report.close()


class Checker:
    """One check of one set of options: all keys and values by themselves; mistakes go to ``report``.

    Attributes:
        report (Report): the mistakes.
        cls (type): the registered model, or the one that was probably meant; None if there is none.
        model (type): what it reads.
        visits (list): all sections.
    """

    def __init__(self, opt: dict, source: Source, is_train: bool):
        self.opt, self.is_train, self.report = opt, is_train, Report(source)
        self.visits: list[Visit] = []
        self.unknown: list[tuple] = []
        name, known = opt.get('model_type'), {*components.names('model'), *MODELS}
        self.is_known = isinstance(name, str) and name in known
        if 'model_type' in opt and not self.is_known:  # the rest is checked as if the nearest had been meant
            self.report.add(('model_type',), f'{show(name)} is no registered model{did_you_mean(name, known)}')
            name = next(iter(nearest(name, known, 1)), None)
        self.cls = components.find('model', name)
        self.model = _reads(name, self.cls, MODELS, Options)
        self.section((), 'section', opt, self.model, str(name) not in MODELS)
        places = [*_dotted_keys(self.model), *(dotted((*v.path, key)) for v in self.visits for key in keys(v.model))]
        for unknown in self.unknown:  # now that it is known where a key may belong
            self.explain(*unknown, list(dict.fromkeys(places)))

    def section(self, path: KeyPath, kind: str, value: dict, model: type[Section], is_open: bool = False) -> None:
        """Check a section, and those in it; one that ``is_open`` may hold more than its model lists."""
        self.visits.append(Visit(path, kind, value, model))
        fields = keys(model)
        for key, item in value.items():
            here, field = (*path, key), fields.get(key)
            if field is not None and path[:1] == ('datasets',) and not self.is_read(field, path):
                self.report.add(here, 'is read in datasets.train only, not here; remove it')
            elif field is not None:
                self.inside(here, item, inner(field), is_open)
            elif is_open:
                self.inside(here, item, _guess(str(key)), is_open)
            elif model.model_config['extra'] != 'allow':
                self.unknown.append((here, [*fields]))
        try:
            model.model_validate(value)
        except ValidationError as error:
            self.values(path, kind, value, model, error)

    def inside(self, path: KeyPath, item: Any, part: ByType | type[Section] | None, is_open: bool) -> None:
        """Check the sections that a value holds."""
        if isinstance(part, ByType):
            pairs = enumerate(item) if isinstance(item, list) else (
                item.items() if part.kind in ('data set', 'metric') and isinstance(item, dict) else ((None, item),))
            for name, one in pairs:
                if isinstance(one, dict):
                    self.by_type(path if name is None else (*path, name), one, part)
        elif part is not None and isinstance(item, dict):
            self.section(path, 'section', item, part, is_open)

    def by_type(self, path: KeyPath, value: dict, part: ByType) -> None:
        """Check a section whose type says what it holds."""
        name, kind, model, is_open = value.get('type'), part.kind.removeprefix('listed '), None, False
        if part.models is None:
            known, target, what = components.names(kind), components.find(kind, name), f'registered {kind}'
            if kind == 'data set':
                if not self.is_phase(path):
                    return
                model, is_open = target and _reads(name, target, DATASETS, DataSet), str(name) not in DATASETS
            elif target is not None:
                model = components.section_of(target, part.extra)
        elif self.cls is not None and not components.is_own(self.cls):
            return  # another package's model may know more
        else:
            known = {key: model for key, model in part.models.items()
                     if key not in _OURS or self.model is not Options}
            what, model = f'{kind} that this model can use', known.get(str(name))
        if 'type' not in value:
            self.report.add(path, f'type is missing: the name of a {what}')
        elif model is None:
            self.report.add((*path, 'type'), f'{show(name)} is no {what}{did_you_mean(name, known)}')
        else:
            self.section(path, kind, value, model, is_open)

    def is_phase(self, path: KeyPath) -> bool:
        """Whether there is a data set of that name in training, or in testing; a mistake is noted if not."""
        phase = str(path[-1]).split('_')[0]
        if phase in _PHASES[self.is_train] and (phase != 'train' or path[-1] == 'train'):
            return True
        where, what = ('training', 'train and val, val_1, ...') if self.is_train else (
            'testing', 'test, test_1, ... or val, val_1, ...')
        self.report.add(path, f'no such data set in {where}: there are {what}')
        return False

    def is_read(self, field: FieldInfo, path: KeyPath) -> bool:
        """Whether a key of the section at ``path`` is read in this run, or in this data set."""
        in_training = path[1] == 'train' if path[:1] == ('datasets',) and len(path) > 1 else self.is_train
        return in_training or IN_TRAINING not in field.metadata

    def values(self, path: KeyPath, kind: str, value: dict, model: type[Section], error: ValidationError) -> None:
        """Note what is missing in a section, and its wrong values; other sections in it tell their own."""
        told = set()  # of alternatives each tells its own; the one that says most comes first
        for one in sorted(error.errors(include_url=False), key=lambda one: one['type'] != 'value_error'):
            key, *below = one['loc']
            field = keys(model).get(key)
            part = field and inner(field)
            if field is None or (below and isinstance(part, type)):
                continue
            place, item, node = (*path, key), value.get(key), schema_of(model)[key]
            if one['type'] == 'missing':
                if kind in ('network', 'loss', 'metric'):
                    self.report.add(path, f'{value["type"]} needs {key}, which is missing')
                elif self.is_read(field, path):
                    text = meaning(field)
                    self.report.add(path, f'{key} is missing: {text[0].lower()}{text[1:].rstrip(".")} ({words(node)})')
                continue
            if below and isinstance(part, ByType) and (isinstance(item, list) or below[0] in item):  # one of several
                place, item, node = (*place, below[0]), item[below[0]], {'kind': part.kind.removeprefix('listed ')}
            if place in told:
                continue
            told.add(place)
            if one['type'] == 'value_error':
                self.report.add(place, str(one['ctx']['error']))
            elif below[1:] == ['[key]']:
                self.report.add(place, f'its names must be text; quote {below[0]}')
            else:
                meant = nearest(item, choices(node), 1) if isinstance(item, str) else []
                hint = f"; did you mean '{meant[0]}'?" if meant else (
                    '; quote it' if isinstance(item, (int, float)) and 'text' in words(node) else '')
                self.report.add(place, f'must be {words(node)}, not {show(item)}{hint}')

    def explain(self, path: KeyPath, siblings: list[str], places: list[str]) -> None:
        """Note a key that nothing reads: misspelt, misplaced, or of another model.

        Args:
            path: the key.
            siblings: keys that are read there.
            places: all keys that these options may hold, dotted.
        """
        key, last = path[-1], {place.rpartition('.')[2] for place in places}
        readers = [name for name, model in MODELS.items() if dotted(path) in _dotted_keys(model)]
        close, far = nearest(key, siblings, 1), nearest(key, last, 1)
        found = [place for place in places if place.rpartition('.')[2] in ([key] if key in last else far)][:3]
        if readers and self.is_known:
            text = f'is read by {", ".join(readers)}, not by {self.opt["model_type"]}; remove it or change model_type'
        elif key in _GONE:
            text = f'no such option; {_GONE[key]}'
        elif key in last:
            text = f'no such option here; it belongs to {" or ".join(found)}'
        elif close or far:
            text = f'no such option; did you mean {repr(close[0]) if close else " or ".join(found)}?'
        else:
            text = f'no such option; here there are {", ".join(sorted(siblings)) or "none"}'
        self.report.add(path, text)


def _reads(name: Any, cls: type | None, table: dict, base: type[Section]) -> type[Section]:
    """What is listed for a registered class or the nearest of its parents."""
    listed = [table[parent.__name__] for parent in getattr(cls, '__mro__', ()) if parent.__name__ in table]
    return table[name] if isinstance(name, str) and name in table else (listed or [base])[0]


def _guess(key: str) -> ByType | None:
    """What a section of a class whose keys are not listed is, by its name."""
    if key.startswith('optim_'):
        return inner(keys(LearnedGANTrain)['optim_d'])
    return ByType('loss') if key.endswith('_opt') else ByType('network') if key.startswith('network_') else None


@cache
def _dotted_keys(model: type[Section], prefix: str = '') -> list[str]:
    """All keys of a section and of those in it, other than by type."""
    found = [prefix + key for key in keys(model)]
    for key, part in ((key, inner(field)) for key, field in keys(model).items()):
        found += _dotted_keys(part, f'{prefix}{key}.') if isinstance(part, type) else []
    return found
