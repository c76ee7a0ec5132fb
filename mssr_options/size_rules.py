"""Rules about networks and the sizes of what they work on."""

import torch

from mssr_loss.backbone import LPIPS_SMALLEST
from mssr_options.components import is_own
from mssr_options.quiet import quiet
from mssr_options.registries import catalogue, keywords
from mssr_options.source import KeyPath

_LARGEST_TRIED = 1024  # pixels a side of a crop that a discriminator is tried on in earnest


class SizeRules:
    """Mixin of :class:`mssr_options.rules.Rules`; needs what that has."""

    def rule_crop_divisible(self):
        """HR and LR crops show the same area: gt_size is a multiple of scale."""
        for phase, path, _options in self.datasets():
            scale, size = self.whole('scale') or self.whole(*path, 'scale'), self.whole(*path, 'gt_size')
            if phase == 'train' and scale and size and size % scale:
                lower, upper = size // scale * scale, (size // scale + 1) * scale
                self.report.add(
                    (*path, 'gt_size'),
                    f'{size} is not divisible by scale {scale}: LR crop times scale '
                    f'must be the HR crop; {f"{lower:g} or " if lower else ""}{upper:g} would do',
                )

    def rule_one_scale(self):
        """A scale of a data set that differs from the one at the top is overwritten in silence."""
        for _, path, options in self.datasets():
            scale, own = self.whole('scale'), self.whole(*path, 'scale')
            if scale and own and own != scale:
                self.report.add((*path, 'scale'), f'{own} differs from scale {scale} at the top, which wins; remove it')
            stated = 'scale' in self.opt or 'scale' in options
            if not stated and options.get('type') in ('UnpairedImageDataset', 'PairedImageDataset'):
                self.report.add(path, 'there is no scale; set scale at the top')

    def rule_network_scale(self):
        """Networks that know their scale must be of the scale of the data; a generator of scale 1 reads bicubic LR."""
        scale = self.whole('scale')
        for kind, path, section in self.checker.built() if scale else ():
            target = catalogue(kind).get(section.get('type')) if kind == 'network' else None
            if target is None or path[0] == 'network_d' or not self.report.sound(path):
                continue
            for key in ('scale', 'upscale'):
                parameter = keywords(target)[0].get(key)
                if parameter is None:
                    continue
                own = section.get(key, parameter.default)
                degrades = path[0] == 'degradations' or self.checker.model_name == 'DegradationGANModel'
                if (
                    isinstance(own, int)
                    and own not in (scale, 1 if degrades else scale)
                    and self.report.sound((*path, key))
                ):
                    stated = '' if key in section else ' by default'
                    self.report.add(
                        (*path, key) if key in section else path,
                        f'{key} of {section["type"]} is {own}{stated}, but scale at the top is {scale}; '
                        f'set both to the same',
                    )

    def rule_buildable(self):
        """Networks refuse impossible arguments when they are built; on the meta device that costs no memory."""
        for kind, path, section in self.checker.built():
            if self._cheap(kind, section) and self._sound_below(path):
                refusal = self._refusal(kind, section)
                if refusal:
                    self.report.add(path, refusal)

    def rule_discriminator_patch(self):
        """The discriminator must be able to judge a crop of the size it will get."""
        section, size, scale = self.get('network_d'), self.whole('datasets', 'train', 'gt_size'), self.whole('scale')
        if not (self.is_train and isinstance(section, dict) and size and self._sound_below(('network_d',))):
            return
        if self.checker.model_name not in ('DegradationGANModel', 'SRGANModel', 'ESRGANModel'):
            return
        stage_1 = self.checker.model_name == 'DegradationGANModel'
        if stage_1 and (not scale or size % scale):
            return
        side, what = (int(size // scale), 'LR') if stage_1 else (int(size), 'HR')
        if side > _LARGEST_TRIED or not _try(lambda: _judge(section, side, 'meta')):
            return
        problem = _try(lambda: _judge(section, side, 'cpu'))  # some layers cannot work without storage
        if problem:
            self.report.add(
                ('datasets', 'train', 'gt_size'),
                f'{section["type"]} cannot judge {what} crops of '
                f'{side} x {side} (gt_size {size}, scale {scale}): {problem}',
            )

    def rule_perceptual_patch(self):
        """Perceptual networks halve the image several times; a small LR crop has nothing left."""
        size, scale = self.whole('datasets', 'train', 'gt_size'), self.whole('scale')
        options = self.get('train', 'perceptual_opt')
        if self.checker.model_name != 'DegradationGANModel' or not (size and scale and isinstance(options, dict)):
            return
        net = options.get('net', 'alex') if options.get('type') == 'LPIPSLoss' else None
        smallest = LPIPS_SMALLEST.get(net, 32 if options.get('type') == 'VGGFeatureLoss' else 1)
        if size % scale == 0 and size // scale < smallest:
            self.report.add(
                ('datasets', 'train', 'gt_size'),
                f'{options["type"]} needs LR crops of {smallest} pixels or more a side, but gt_size {size} / scale '
                f'{scale} is {size // scale:g}; raise it to {smallest * scale:g}, or set train.perceptual_opt to ~',
            )

    def _sound_below(self, path: KeyPath) -> bool:
        """Whether nothing was found wrong at a key path, around it or below it."""
        return self.report.sound(path) and not any(bad[: len(path)] == path for bad in self.report.bad)

    def _cheap(self, kind: str, section: dict) -> bool:
        """Whether building it reads no files; an ensemble's branches are built one by one."""
        target = catalogue(kind).get(section.get('type'))
        if kind == 'network' or target is None:
            return target is not None and 'branches' not in section
        return is_own(target) and not {'weights', 'vgg_type'} & set(keywords(target)[0])

    def _refusal(self, kind: str, section: dict) -> str:
        """Why a network or loss cannot be built, or ''; what fails without storage is tried in earnest."""
        problem = _try(lambda: _build(kind, section, 'meta')) and _try(lambda: _build(kind, section, 'cpu'))
        return problem and f'{section["type"]} cannot be built: {problem.removeprefix(section["type"] + ": ")}'


def has_weights(section: dict) -> bool:
    """Whether a network has anything to load; one that cannot be built without storage has."""
    found = []
    failed = _try(lambda: found.extend(_build('network', section, 'meta').parameters()))
    return bool(found or failed)


def _build(kind: str, section: dict, device: str):
    """A network or loss; on the device ``meta`` it has no storage and costs next to nothing."""
    arguments = {key: value for key, value in section.items() if key not in ('type', 'checkpoint')}
    with torch.device(device):
        return catalogue(kind).get(section['type'])(**arguments)


def _judge(section: dict, side: int, device: str) -> None:
    """Hand a discriminator one crop."""
    crop = torch.zeros(1, int(section.get('num_in_ch', 3)), side, side, device=device)
    with torch.no_grad():
        _build('network', section, device)(crop)


def _try(action) -> str:
    """What ``action`` complains of, or ''."""
    try:
        with quiet():
            action()
    except OSError:  # missing files are checked elsewhere
        return ''
    except Exception as error:  # other people's code complains in any way
        text = str(error).strip().splitlines()
        return text[0].rstrip('.') if text else type(error).__name__
    return ''
