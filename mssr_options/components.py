"""Checks what is built by name: networks, losses, metrics, optimizers and schedules, by the arguments they take."""

import inspect

import torch
from basicsr.models.base_model import BaseModel
from basicsr.utils.file_client import FileClient

from mssr_options import kinds
from mssr_options.component_tables import ARGUMENTS, OPTIMIZER, SCHEDULERS
from mssr_options.registries import catalogue, keywords
from mssr_options.report import did_you_mean
from mssr_options.source import KeyPath
from mssr_options.tables import Key

CHECKPOINT = {'checkpoint': Key('file?', 'Weights to start from.')}
BETTER = {'better': Key("'higher' | 'lower'", 'Which values are better. Default: higher.')}
NESTED = ('branches',)  # arguments that list networks
# What the caller hands to a metric, not the option file.
METRIC_DATA = {'img', 'img2'}


class Components:
    """Mixin of :class:`mssr_options.check.Checker`; needs its ``report``, ``value`` and ``unknown``."""

    def component(self, kind: str, path: KeyPath, value: dict, extra: dict[str, Key] | None = None) -> None:
        """Check ``{type: NAME, argument: value, ...}`` against the constructor or function registered as NAME."""
        target = self.registered(kind, path, value)
        if target is None:
            return
        parameters, takes_others = keywords(target)
        if kind == 'metric':
            parameters = {name: p for name, p in parameters.items() if name not in METRIC_DATA}
        self.arguments(path, value, parameters, takes_others, extra or {}, is_own(target))

    def registered(self, kind: str, path: KeyPath, value: dict):
        """What ``value['type']`` names, or None after a mistake was noted."""
        names = catalogue(kind)
        if 'type' not in value:
            self.report.add(path, f'type is missing: the name of a {kind}')
            return None
        target = names.get(value['type'])
        if target is None:
            article = f"'{value['type']}' is no registered {kind}"
            self.report.add((*path, 'type'), article + did_you_mean(value['type'], names.names()))
        return target

    def arguments(
        self, path: KeyPath, value: dict, parameters: dict, takes_others: bool, extra: dict, own=True
    ) -> None:
        """Check the keys of a section against parameters and the further keys ``extra``."""
        for key, item in value.items():
            here = (*path, key)
            if key == 'type':
                continue
            if key in extra:
                self.value(here, extra[key].kind, item)
            elif key in NESTED and key in parameters:
                self.networks(here, item)
            elif key in parameters:
                self.value(here, kind_of(parameters[key], own), item)
            elif not takes_others:
                self.unknown(here, [*parameters, *extra])
        for name, parameter in parameters.items():
            if parameter.default is parameter.empty and name not in value:
                self.report.add(path, f'{value.get("type", "it")} needs {name}, which is missing')

    def networks(self, path: KeyPath, value) -> None:
        """Check a list of networks, each of which may name a ``checkpoint``."""
        if not isinstance(value, list) or not value:
            self.report.add(path, 'must be a list of networks, one at least, each beginning with `- type: NAME`')
            return
        for i, item in enumerate(value):
            if isinstance(item, dict):
                self.component('network', (*path, i), item, CHECKPOINT)
            else:
                self.report.add((*path, i), 'must be a network: a section with type: NAME')

    def metrics(self, path: KeyPath, value: dict) -> None:
        """Check named metrics."""
        for name, item in value.items():
            if isinstance(item, dict):
                self.component('metric', (*path, name), item, BETTER)
            else:
                self.report.add((*path, name), 'must be a section with type: METRIC')

    def optimizer(self, path: KeyPath, value: dict) -> None:
        """Check an optimizer of torch; BasicSR 1.4.2 knows Adam alone, other models may know more."""
        name = value.get('type')
        known = ['Adam']
        foreign = self.model is not None and not is_own(self.model)
        if foreign and getattr(self.model, 'get_optimizer', None) is not BaseModel.get_optimizer:
            known = [n for n, cls in vars(torch.optim).items() if inspect.isclass(cls) and n != 'Optimizer']
        if name not in known:
            missing = 'type is missing' if name is None else f"'{name}' is no optimizer that this model can use"
            self.report.add((*path, 'type') if name is not None else path, missing + did_you_mean(name, known))
            return
        parameters, takes_others = keywords(getattr(torch.optim, name), 1)
        extra = {key: row for key, row in OPTIMIZER.items() if key in parameters}
        if path[-1] == 'optim_g' and self.reads('noise_lr'):
            extra['noise_lr'] = OPTIMIZER['noise_lr']
        self.arguments(path, value, parameters, takes_others, extra)
        if 'lr' not in value:
            self.report.add(path, 'lr is missing: the learning rate, such as 1e-4')

    def scheduler(self, path: KeyPath, value: dict) -> None:
        """Check a schedule; LinearDecayLR belongs to the models of this project."""
        name = value.get('type')
        overrides = getattr(self.model, 'setup_schedulers', None) is not BaseModel.setup_schedulers
        known = [n for n in SCHEDULERS if overrides or n != 'LinearDecayLR']
        if name in known:
            self.section_of(path, value, SCHEDULERS[name], ignore=('type',))
        elif name is None or not overrides or self.model is None or self.model.__module__.startswith('mssr_'):
            missing = 'type is missing' if name is None else f"'{name}' is no schedule that this model can use"
            self.report.add((*path, 'type') if name is not None else path, missing + did_you_mean(name, known))

    def io_backend(self, path: KeyPath, value: dict) -> None:
        """Check how files are read."""
        backends = FileClient._backends  # name to class
        name = value.get('type')
        if name not in list(backends):
            text = 'type is missing' if name is None else f"'{name}' is no way to read files"
            self.report.add((*path, 'type') if name is not None else path, text + did_you_mean(name, backends))
            return
        parameters = {}
        if '__init__' in vars(backends[name]):
            parameters, _ = keywords(backends[name])
            parameters = {k: p for k, p in parameters.items() if k not in ('db_paths', 'client_keys')}
        self.arguments(path, value, parameters, False, {})


def is_own(target) -> bool:
    """Whether a class or function is BasicSR's or this project's."""
    return target.__module__.startswith(('basicsr.', 'mssr_'))


def kind_of(parameter: inspect.Parameter, own: bool = True) -> str:
    """The kind of value that a parameter takes, as far as its annotation, its default or (``own``) its name tells.

    A default of 1 stands for any number: code that means 0.1 there is common.
    """
    named, default = ARGUMENTS.get(parameter.name), parameter.default
    if own and named and default is None:
        return f'{named} | null'
    if own and named and (default is parameter.empty or kinds.fits(named, default)):
        return named
    names = {'int': 'int', 'float': 'number', 'bool': 'bool', 'str': 'text', 'None': 'null', 'dict': 'mapping',
             'list': '[any]', 'tuple': '[any]'}
    annotation = parameter.annotation
    if annotation is not parameter.empty:
        text = annotation if isinstance(annotation, str) else getattr(annotation, '__name__', str(annotation))
        parts = [part.strip().split('[')[0] for part in text.split('|')] if '|' in str(annotation) else [text]
        if all(part in names for part in parts):
            return ' | '.join(names[part] for part in parts)
        return 'any'
    if isinstance(default, bool):
        return 'bool'
    if isinstance(default, (int, float)):
        return 'number'
    if isinstance(default, str):
        return 'text?'
    if isinstance(default, (list, tuple)):
        return '[any]?'
    return 'any'
