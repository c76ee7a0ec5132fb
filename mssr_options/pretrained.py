"""``pretrained: FILE`` in the place of a network's options: the file says what network it holds."""

from mssr_arch.spandrel_arch import read_spandrel
from mssr_compat.checkpoint import read_description, read_weights
from mssr_compat.errors import UserError
from mssr_compat.known_networks import infer_options
from mssr_options.reader import KeyPath, dotted


def resolve_pretrained(opt: dict) -> None:
    """Put the options of the network, and the file as what it starts from, where ``pretrained`` stands.

    That is ``network_g`` or any of ``network_g.branches``. Known are checkpoints of this project and whatever spandrel
    loads. ``opt`` is changed in place, so that the options that an experiment keeps say the network itself.

    Raises:
        UserError: the file is unreadable, holds no SR network that trains, or one of another scale or with a minimum
            size above the crops'; or other keys stand beside ``pretrained``.
    """
    network = opt.get('network_g')
    if not isinstance(network, dict):
        return
    if 'pretrained' in network:
        file = network['pretrained']
        _resolve(opt, ('network_g',), network)
        if isinstance(opt.get('path'), dict) and not opt['path'].get('pretrain_network_g'):
            opt['path']['pretrain_network_g'] = file
    branches = network.get('branches')
    for k, branch in enumerate(branches if isinstance(branches, list) else ()):
        if isinstance(branch, dict) and 'pretrained' in branch:
            file = branch['pretrained']
            _resolve(opt, ('network_g', 'branches', k), branch)
            branch['checkpoint'] = file


def _resolve(opt: dict, path: KeyPath, section: dict) -> None:
    key, file = f'{dotted(path)}.pretrained', section.pop('pretrained')
    if section or not isinstance(file, str) or not file.strip():
        raise UserError(f'{key} must be a file, and stands alone: it says what network it holds'
                        + (f'; remove {", ".join(map(str, section))}.' if section else '.'))
    where = f'{key}: {file}'
    state = read_weights(file, key, param_key='params_ema')
    options = read_description(file, key).get('network') or infer_options(state)
    options = options or read_spandrel(state, where)[0]
    if options['type'] == 'SREnsemble':
        raise UserError(f'{where} holds an ensemble: name it as path.pretrain_network_g, and its branches by their '
                        'options.')
    scale = options.get('scale', opt.get('scale'))
    if scale != opt.get('scale'):
        raise UserError(f'{where} enlarges by {scale}, but scale is {opt.get("scale")}: set scale to {scale}, or take '
                        'another file.')
    train_set = (opt.get('datasets') or {}).get('train') or {}
    side, minimum = train_set.get('gt_size'), options.get('minimum', 0)
    if isinstance(side, int) and side < minimum * scale:
        raise UserError(f'{where} needs photos of {minimum} pixels a side, but LR crops have {side // scale}: set '
                        f'datasets.train.gt_size to {minimum * scale} or more.')
    section.update(options)
