"""The part ``golden`` of ``benchmarks/gpu.py``: how far the product is from the published code's figures."""

import torch

import golden_runs as runs
import golden_tools
from benchmarks.measuring import use_tf32

# What the toy takes of the golden data: what a CPU does at once.
QUICK = ('deresnet_x4', 'dsgan', 'disc_wavelet_cat_nld_s2_Instance', 'dsgan_wavelet', 'kd_feat')


def golden(args, rows):
    """How far each golden case is from what the published code computed on a CPU, relative."""
    use_tf32(False)
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = False, True
    device = args.device

    def cases(tags):
        return [tag for tag in tags if args.size != 'toy' or tag in QUICK]

    def tell(case, deviation, tolerance, configuration='', **figures):
        rows.tell(case, configuration, goal=tolerance, reached=deviation <= tolerance, deviation=deviation, **figures)

    for tag in cases(runs.FORWARD):
        with rows.guarding(f'forward {tag}'):
            _, output, exact = runs.run_forward(tag, device)
            expected = golden_tools.array(f'forward/{tag}')
            if exact is None:
                tell(f'forward {tag}', golden_tools.relative_error(output, expected), runs.forward_tolerance(tag))
            else:
                rounding = golden_tools.relative_error(output, exact)
                tell(f'forward {tag}', golden_tools.relative_error(exact, expected.double()),
                     max(1e-5, 4 * rounding), 'float64', rounding_of_float32=rounding)
    for tag in cases(runs.STAGE1):
        for channels_last in (False, True)[:1 + (tag in runs.CHANNELS_LAST)]:
            with rows.guarding(f'stage 1 {tag}', words(channels_last)):
                tell(f'stage 1 {tag}', *stage1_apart(tag, channels_last, device))
    for tag in cases(runs.STAGE2):
        for channels_last in (False, True):
            with rows.guarding(f'stage 2 {tag}', words(channels_last)):
                tell(f'stage 2 {tag}', *stage2_apart(tag, channels_last, device, args.folder))


def words(channels_last):
    return 'channels_last' if channels_last else 'contiguous'


def apart(found, expected):
    """Largest difference of two series, relative to the expected ones."""
    return max((abs(a - b) / abs(b) if b else abs(a)) for a, b in zip(found, expected, strict=True))


def norms_apart(net, expected):
    """Of the norms of all tensors after training, over the ten times larger tolerance that those have."""
    state = net.state_dict()
    return max(abs(state[name].double().norm().item() / norm - 1) for name, (_, norm) in expected.items() if norm) / 10


def stage1_apart(tag, channels_last, device):
    record = golden_tools.record('stage1', tag)
    model, logs = runs.run_stage1(tag, channels_last, device=device)
    terms = [(log['l_d'], log['l_g_color']) for log in logs]
    expected = [(log['d_loss'], record['w_col'] * log['color']) for log in record['log']]
    if not record['wgan']:
        terms += [(log['l_g_color'] + log['l_g_gan'],) for log in logs]
        expected += [(log['g_loss'],) for log in record['log']]
    deviation, tolerance = apart(sum(terms, ()), sum(expected, ())), runs.stage1_tolerance(tag)
    if tag not in runs.CHANNELS_LAST:
        tolerance = max(tolerance, 4 * float(runs.rounding(tag, logs, device)[-1]))
    if record['generator_after'] is not None:
        deviation = max(deviation, norms_apart(model.net_g, record['generator_after']))
    return deviation, tolerance, words(channels_last)


def stage2_apart(tag, channels_last, device, folder):
    record = golden_tools.record('stage2', tag)
    model, logs = runs.run_stage2(tag, folder, channels_last, device)
    weights = {'sup': ('sup', record['sup_weight']), 'collab': ('col', record['col_weight']), 'adapt': ('adapt', 1.0)}
    found = [log.get(f'l_{term}_{k}', 0.0) for _, log in logs for term in weights for k in '12']
    expected = [weight * log[f'{term}_{k}'] for log in record['log'] for term, weight in weights.values() for k in '12']
    deviations = [apart(found, expected)]
    deviations += [norms_apart(branch, record[key])
                   for key, branch in zip(('net_1_after', 'net_2_after'), model.net_g.branches, strict=True)]
    ensemble = golden_tools.array(f'stage2/{tag}/ensemble')
    deviations.append(golden_tools.relative_error(runs.restored(model, record), ensemble))
    return max(deviations), 1e-5, words(channels_last)
