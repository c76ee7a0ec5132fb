"""The head of the report: how it goes, in words, and what was run."""

from datetime import timedelta

from mssr_report.experiment import Experiment
from mssr_report.markup import note, number, section, short_path, table, text

STAGES = {1: 'Stage 1: a generator learns how real cameras degrade photos, so that it can make real-looking '
             'low-resolution (LR) photos from clean high-resolution (HR) ones.',
          2: 'Stage 2: super-resolution networks learn to undo what the degradation generators do, teach each other, '
             'and adapt to real low-resolution (LR) photos.'}


def verdict(experiment: Experiment) -> str:
    """State of the run and what its last validation warned of."""
    state, total = experiment.state(), experiment.total_iter
    reached = f'iteration {experiment.last_iter:,}' + (f' of {total:,}' if total else '')
    words = {'finished': f'Finished, at {reached}.',
             'running': f'Running, at {reached}. This page shows what was there when it was made.',
             'broken off': f'Broken off, after {reached}: the log does not tell the end of training. '
                           'The same call of train.py with --auto_resume goes on from the last checkpoint.'}[state]
    parts = [f'<p class="state {state.replace(" ", "-")}">{text(words)}</p>']
    last = next((entry for entry in reversed(experiment.validations) if 'warnings' in entry), None)
    if last and last['warnings']:
        items = ''.join(f'<li>{text(sentence)}</li>' for sentence in last['warnings'].values())
        parts.append(f'<div class="warning"><strong>Warnings at iteration {last["iter"]:,}</strong><ul>{items}</ul>'
                     '</div>')
    elif last:
        parts.append(f'<p class="well">No sign of collapse at iteration {last["iter"]:,}: draws differ, colours stay, '
                     'and the discriminator still guides the generator.</p>')
    elif experiment.stage == 1:
        parts.append(note('The degradation was not measured during training: set val.val_freq and a validation set.'))
    return ''.join(parts)


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
    return section('What was run', f'<p>{text(STAGES[experiment.stage])}</p>' if experiment.stage else '',
                   table((), rows, 'facts'), details, _log_warnings(log.warnings))


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
