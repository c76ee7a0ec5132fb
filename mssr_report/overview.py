"""What was run, and what the words of the report mean."""

from datetime import timedelta

from mssr_report.experiment import Experiment
from mssr_report.markup import note, number, section, short_path, table, text

WORDS = {
    'HR, LR': 'high- and low-resolution photo. Real LR: from the camera whose photos shall be restored.',
    'bicubic': 'plain downsampling (or enlarging) by interpolation, without anything learned.',
    'generator, draw': 'the network that makes LR photos from HR photos; each time with other random noise, a draw.',
    'noise injection': 'a place between two layers where the generator adds random noise with learned weights.',
    'discriminator': 'the network that learns to tell real LR from generated LR; the generator learns to deceive it. '
                     'That is the adversarial loss.',
    'branch, ensemble': 'one super-resolution network for each generator (S_1, S_2, ...), and the mean of all.',
    'haar_distance': 'how far fine texture, seen through the Haar wavelet transform, is from that of real LR.',
    'PSNR, SSIM, LPIPS': 'nearness to an aligned photo: in dB, higher is better; from 0 to 1, higher is better; '
                         'as people see it, lower is better.',
    'level': 'one step of 8-bit values, 0 to 255.',
}


def what_was_run(experiment: Experiment) -> str:
    """Networks, data, versions, time; the whole option file at a click."""
    options, log = experiment.options, experiment.log
    train = options.get('train') or {}
    rows = [('Model', text(options.get('model_type', 'unknown'))), ('Scale', f'x{text(options.get("scale", "?"))}')]
    for key in ('network_g', 'network_d'):
        if isinstance(options.get(key), dict):
            rows.append((key, _network(options[key])))
    for k, section_ in enumerate(options.get('degradations') or (), start=1):
        source = f'from {short_path(section_["checkpoint"])}' if section_.get('checkpoint') else 'without weights'
        rows.append((f'Degradation {k}', f'{_network(section_)} {source}'))
    for key, path, there in experiment.data_folders():
        gone = '' if there else ' <em class="gone">(not there any more)</em>'
        rows.append((text(key.removeprefix('datasets.')), short_path(path) + gone))
    if log.counts.get('Number of train images'):
        rows.append(('Training photos', text(log.counts['Number of train images'])))
    loading = (options.get('datasets') or {}).get('train') or {}
    rows.append(('Batch, crop', f'{text(loading.get("batch_size_per_gpu", "?"))} crops of '
                 f'{text(loading.get("gt_size", "?"))} px (HR)'))
    weights = [f'{text(key.removesuffix("_opt"))} {text(number(value.get("loss_weight", 1.0)))}'
               for key, value in train.items() if key.endswith('_opt') and isinstance(value, dict)]
    rows += [('Weights of the losses', ', '.join(weights) or '–'), ('Seed', text(options.get('manual_seed', '–')))]
    if log.begun:
        rows.append(('Time', f'begun {text(log.begun)}, last heard of {text(log.last)}; worked for '
                     f'{timedelta(seconds=round(log.working))}' + (f' in {log.files} parts' if log.files > 1 else '')))
    if log.seconds:
        rows.append(('Speed', f'{number(list(log.seconds.values())[-1])} s an iteration'))
    if log.versions:
        rows.append(('Versions', ', '.join(f'{text(k)} {text(v)}' for k, v in log.versions.items())))
    rows.append(('Newest weights', text(experiment.checkpoint.name) if experiment.checkpoint else 'none saved yet'))
    best = experiment.best
    rows.append(('Best weights', f'net_g_best.pth, iteration {best["iter"]:,}: {text(best["metric"])} '
                 f'{number(best["value"])}' if best else 'not kept (val.select chooses the figure)'))
    details = (f'<details><summary>All options</summary><pre>{text(experiment.yaml_text)}</pre></details>'
               if experiment.yaml_text else note('The folder holds no option file.'))
    return section('What was run', table((), rows, 'facts'), details, _log_warnings(log.warnings))


def words() -> str:
    """A glossary."""
    return section('Words', table((), [(text(word), text(meaning)) for word, meaning in WORDS.items()], 'facts'))


def _network(options: dict) -> str:
    if options.get('branches'):
        return f'{text(options.get("type"))}: ' + ', '.join(_network(branch) for branch in options['branches'])
    rest = ', '.join(f'{key} {value}' for key, value in options.items()
                     if key not in ('type', 'checkpoint') and not isinstance(value, dict | list))
    return f'{text(options.get("type"))} <small>{text(rest)}</small>'


def _log_warnings(warnings: list[str]) -> str:
    if not warnings:
        return ''
    items = ''.join(f'<li>{text(warning)}</li>' for warning in warnings[-20:])
    return f'<details><summary>Warnings in the log ({len(warnings)})</summary><ul>{items}</ul></details>'
