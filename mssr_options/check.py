"""Finds keys that nothing reads and values that cannot be meant, before anything is built."""

from mssr_compat.errors import UserError
from mssr_options import dataset_tables, kinds
from mssr_options.component_tables import HINTS
from mssr_options.components import Components
from mssr_options.reader import read_options
from mssr_options.registries import catalogue, keywords, listed_and_extra
from mssr_options.report import Report, did_you_mean, nearest, show
from mssr_options.rules import check_rules
from mssr_options.source import KeyPath, Source, dotted
from mssr_options.tables import ALL, MODELS, NETWORK_D, NETWORK_G, Key

_PHASES = {True: ('train', 'val'), False: ('test', 'val')}


def check_options(opt: dict, source: Source | str | None = None, is_train: bool = True) -> None:
    """Check options as they were read, before BasicSR adds its own.

    Every key must be one that the model, data set, network, loss, metric, optimizer or schedule named beside it reads;
    every value must be of its kind, and the values must fit each other.

    Args:
        opt: options from :func:`mssr_options.reader.read_options`, or any nested dict.
        source: where they stand: a :class:`Source`, or the option file; by default what ``opt`` remembers.
        is_train: whether they are for training (else for testing).

    Raises:
        UserError: all mistakes, one a line, each with file, line, key, and the key or value that may have been meant.
    """
    checker = Checker(opt, _source(opt, source), is_train)
    checker.run()
    check_rules(checker)
    checker.report.close()


def _source(opt, source) -> Source:
    if isinstance(source, Source):
        return source
    if getattr(opt, 'source', None) is not None:
        return opt.source
    try:
        return read_options(source).source if source else Source('options')
    except UserError:
        return Source(str(source))


class Checker(Components):
    """One check of one set of options; mistakes go to ``report``."""

    def __init__(self, opt: dict, source: Source, is_train: bool):
        self.opt, self.is_train = opt, is_train
        self.report = Report(source)
        models = catalogue('model')
        self.model = models.get(opt.get('model_type'))
        self.model_known = self.model is not None
        if not self.model_known:  # noted in run(); the rest is checked as if the nearest had been meant
            self.model = models.get(next(iter(nearest(opt.get('model_type'), models.names(), 1)), None))
        self.table, self.extra, self.model_name = self._table()
        self.sets: dict[str, dict[str, Key]] = {}  # keys of each data set

    def _table(self) -> tuple[dict[str, Key], frozenset[str], str]:
        """Dotted keys that the model reads, keys its unlisted classes name, and its listed name."""
        if self.model is None:
            optional = [{key: row._replace(need='') for key, row in group.items()} for group in _all_groups()]
            groups, name, extra = (*optional, ALL), '', frozenset()
        else:
            name, extra = listed_and_extra(self.model, MODELS)
            groups = MODELS[name] if name else (ALL, NETWORK_G, NETWORK_D)
        return {key: row for group in groups for key, row in group.items()}, extra, name or ''

    def reads(self, key: str) -> bool:
        """Whether the model's own source names a key."""
        _, named = listed_and_extra(self.model, {}) if self.model else (None, {key})
        return key in named

    def run(self) -> None:
        """Check all keys and values by themselves."""
        if 'model_type' in self.opt and not self.model_known:
            name = self.opt['model_type']
            self.report.add(
                ('model_type',), f'{show(name)} is no registered model' + did_you_mean(name, catalogue('model').names())
            )
        self.section((), self.opt)

    # --- sections -----------------------------------------------------------------------------------------------

    def section(self, path: KeyPath, value: dict) -> None:
        """Check a section of the model's table."""
        prefix = ''.join(f'{key}.' for key in path)
        rows = {key[len(prefix) :]: row for key, row in self.table.items() if key.startswith(prefix)}
        self.section_of(path, value, {key: row for key, row in rows.items() if '.' not in key}, self._guessed(path))

    def _guessed(self, path: KeyPath) -> dict[str, Key]:
        """Rows for keys that the source of a model without a table names; any section may hold them."""
        if path not in ((), ('train',), ('val',), ('path',)):
            return {}
        rows = {key: Key(_guess(key), '') for key in self.extra}
        if path == ('path',):
            networks = [key.removeprefix('network_') for key in self.extra if key.startswith('network_')]
            for name in networks:
                rows |= {key.replace('_g', f'_{name}').removeprefix('path.'): row for key, row in NETWORK_G.items()}
        return rows

    def section_of(self, path: KeyPath, value: dict, rows: dict[str, Key], guessed=None, ignore=(), phase=None) -> None:
        """Check a section against rows of a table."""
        allowed = {**(guessed or {}), **rows}
        phase = phase or ('train' if self.is_train else 'test')
        for key, item in value.items():
            here = (*path, key)
            if key in ignore:
                continue
            if key not in allowed:
                self.unknown(here, allowed)
            elif allowed[key].only and allowed[key].only != phase:
                self.report.add(here, f'is read in datasets.{allowed[key].only} only, not here; remove it')
            else:
                self.value(here, allowed[key].kind, item)
        for key, row in rows.items():
            if key not in value and row.need in ('always', phase):
                self.report.add(
                    path,
                    f'{key} is missing: {row.about[0].lower()}{row.about[1:].rstrip(".")} ({kinds.words(row.kind)})',
                )

    def value(self, path: KeyPath, kind: str, value) -> None:
        """Check one value, and look into it if it is a section."""
        if not kinds.fits(kind, value):
            choices = kinds.choices(kind)
            meant = nearest(value, choices, 1) if isinstance(value, str) else []
            hint = f"; did you mean '{meant[0]}'?" if meant else ''
            if 'text' in kind.split(' | ') and isinstance(value, (int, float)):
                hint = '; quote it'
            self.report.add(path, f'must be {kinds.words(kind)}, not {show(value)}{hint}')
            return
        section = kinds.section(kind)
        if section and value is not None:
            if section in ('network', 'loss'):
                self.component(section, path, value)
            elif section != 'mapping':
                getattr(self, section)(path, value)

    # --- data sets ----------------------------------------------------------------------------------------------

    def datasets(self, path: KeyPath, value: dict) -> None:
        """Check all data sets."""
        if self.is_train and 'train' not in value:
            self.report.add(path, 'train is missing: the training set')
        if not value:
            self.report.add(path, 'there is no data set')
        for name, item in value.items():
            here = (*path, name)
            phase = str(name).split('_')[0]
            if phase not in _PHASES[self.is_train] or (phase == 'train' and name != 'train'):
                what = 'train and val, val_1, ...' if self.is_train else 'test, test_1, ... or val, val_1, ...'
                close = nearest(name, _PHASES[self.is_train], 1)
                self.report.add(
                    here,
                    f'no such data set in {"training" if self.is_train else "testing"}: there are '
                    f'{what}{f"; did you mean {close[0]}" if close else ""}',
                )
            elif not isinstance(item, dict):
                self.report.add(here, f'must be a section, not {show(item)}')
            else:
                self.dataset(here, item, phase)

    def dataset(self, path: KeyPath, value: dict, phase: str) -> None:
        """Check one data set."""
        cls = self.registered('dataset', path, value)
        if cls is None:
            return
        name, extra = listed_and_extra(cls, dataset_tables.DATASETS)
        groups = dataset_tables.DATASETS[name] if name else (dataset_tables.ALL,)
        rows = {key: row for group in groups for key, row in group.items()}
        self.sets[dotted(path)] = rows
        self.section_of(path, value, rows, {key: Key('any', '') for key in extra}, phase=phase)

    # --- unknown keys -------------------------------------------------------------------------------------------

    def unknown(self, path: KeyPath, siblings) -> None:
        """Note a key that nothing reads: misspelt, misplaced, or of another model."""
        key, known = path[-1], list(siblings)
        readers = [name for name, groups in MODELS.items() if any(dotted(path) in group for group in groups)]
        places = [place for place in self.places() if place.split('.')[-1] == key]
        close, far = nearest(key, known, 1), nearest(key, {place.split('.')[-1] for place in self.places()}, 1)
        if readers and self.model_known:
            text = f'is read by {", ".join(readers)}, not by {self.opt["model_type"]}; remove it or change model_type'
        elif key in HINTS:
            text = f'no such option; {HINTS[key]}'
        elif places:
            text = f'is not read here; it belongs to {" or ".join(places[:3])}'
        elif close:
            text = f"no such option; did you mean '{close[0]}'?"
        elif far:
            found = [place for place in self.places() if place.split('.')[-1] == far[0]]
            text = f'no such option; did you mean {" or ".join(found[:3])}?'
        else:
            text = f'no such option; here there are {", ".join(sorted(map(str, known))) or "none"}'
        self.report.add(path, text)

    def places(self) -> list[str]:
        """All keys that these options may hold, dotted."""
        places = [*self.table, *(f'{name}.{key}' for name, rows in self.sets.items() for key in rows)]
        for kind, path, section in self.built():
            target = catalogue(kind).get(section.get('type'))
            if target is not None:
                places += [f'{dotted(path)}.{key}' for key in keywords(target)[0]]
        return [*places, *(f'{key}.lr' for key in self.table if '.optim_' in key)]

    def built(self):
        """(kind, path, section) of all networks and losses in the options, those in lists included."""
        train = self.opt.get('train')
        for prefix, section in (((), self.opt), (('train',), train if isinstance(train, dict) else {})):
            for key, value in section.items():
                row = self.table.get('.'.join((*prefix, str(key))))
                kind = row and kinds.section(row.kind)
                if kind in ('network', 'loss') and isinstance(value, dict):
                    yield kind, (*prefix, key), value
                lists = {key: value} if kind == 'networks' else value if kind == 'network' else {}
                for name, items in lists.items() if isinstance(lists, dict) else ():
                    if kind == 'networks' or name in ('branches',):
                        for i, item in enumerate(items if isinstance(items, list) else []):
                            if isinstance(item, dict):
                                yield 'network', (key, i) if kind == 'networks' else (key, name, i), item


def _all_groups() -> list[dict[str, Key]]:
    return [group for groups in MODELS.values() for group in groups]


def _guess(key: str) -> str:
    """The kind of a key of which only the name is known."""
    if key.startswith('network_'):
        return 'network?'
    if key.startswith('optim_'):
        return 'optimizer?'
    return 'loss?' if key.endswith('_opt') else 'any'
