"""Says in words when a degradation generator collapses, and what to try."""

import math
from dataclasses import dataclass

from mssr_metric.degradation_figures import Figures

SAME_DRAWS = 0.1  # levels between draws, below which files hold the same picture
AS_BICUBIC = 1.5  # levels from bicubic LR
FAR_FROM_REAL = 1.5  # of bicubic LR, in units of the distance between real photos: there is something to learn
NO_BETTER = 0.95  # of bicubic's distance
OTHER_SPECTRUM = 3.0  # dB from the real one, and half as much again as bicubic's; under 2 in sound runs
SATURATED = 0.03  # D's mean error on either side
BLIND = 0.02  # between D's mean scores
DRIFT = 10.0  # levels between local colours; 5 in sound runs
ON_THEIR_WAY = 0.9  # of the drift at the validation before, below which colours are still being learned
TOO_LOUD = 30.0  # times the other terms; below 10 in sound runs
EARLY = 0.1  # of the run, in which it is too early to call it collapsed
TOO_NOISY = 4.0  # levels above the real noise, and twice as much


@dataclass
class State:
    """What the figures do not tell."""

    num_noise: int  # injections of the generator
    adversarial: float  # train.gan_opt.loss_weight
    real_score: float = math.nan  # D's mean probabilities of late, where it gives any
    fake_score: float = math.nan
    drift_before: float = math.nan  # figure color_drift of the validation before
    loudness: float = math.nan  # adversarial term over the sum of the others, weighted, of late


def loudness(losses: dict[str, float]) -> float:
    """Adversarial term over the sum of the others, from the logged losses, which are weighted; nan if unknown."""
    others = sum(losses.get(name, 0.0) for name in ('l_g_color', 'l_g_percep', 'l_g_spectrum'))
    return losses.get('l_g_gan', math.nan) / others if others else math.nan


def collapse_warnings(figures: Figures, state: State) -> dict[str, str]:
    """Warnings by name, in the order of their weight; empty for a healthy run.

    The names are ``diverged``, ``no_adversary``, ``loud_adversary``, ``same_draws``, ``bicubic``, ``no_better``,
    ``spectrum``, ``saturated``, ``blind``, ``color``, ``noisy``.
    """
    g, bicubic, real = figures.generated, figures.bicubic, figures.real
    if not math.isfinite(g['haar_distance']):
        return {'diverged': 'The generator makes values that are no numbers: the run is lost. Go on from an earlier '
                            'checkpoint with lower learning rates (train.optim_g.lr, train.optim_d.lr).'}
    found = {}
    if state.adversarial == 0:
        found['no_adversary'] = ('The adversarial weight is 0: nothing pulls the texture towards real LR photos. Set '
                                 'train.gan_opt.loss_weight; the published value is 0.005.')
    elif state.loudness > TOO_LOUD:
        found['loud_adversary'] = (f'The adversarial term is {state.loudness:.0f} times as large as all others: '
                                   'colours and scenes hardly count. Lower train.gan_opt.loss_weight (now '
                                   f'{state.adversarial:g}; the published value is 0.005).')
    cause = 'See to the adversarial weight first.' if found else ''
    if state.num_noise == 0:
        found['same_draws'] = ('All draws are identical: network_g has no noise injections, so stage 2 will see one LR '
                               'photo for each HR photo. Set network_g.noise_std to 0.1, or take DeResnet or '
                               'DegradationHAN, unless a deterministic generator is wanted.')
    elif g['diversity'] < SAME_DRAWS:
        found['same_draws'] = (f'All draws are identical ({g["diversity"]:.2f} levels apart): the noise has no effect. '
                               + ('See to the colours first.' if g['color_drift'] > DRIFT else
                                  'Raise train.optim_g.noise_lr or network_g.noise_std, then '
                                  'train.gan_opt.loss_weight, and train longer.'))
    there_is_something = bicubic['haar_distance'] > FAR_FROM_REAL
    if there_is_something and g['bicubic_distance'] < AS_BICUBIC:
        found['bicubic'] = (f'The generator has become a bicubic downsampler ({g["bicubic_distance"]:.1f} levels from '
                            'bicubic LR), while real LR is far from bicubic. Raise train.gan_opt.loss_weight, or lower '
                            'those of color_opt and perceptual_opt.')
    elif there_is_something and g['haar_distance'] > NO_BETTER * bicubic['haar_distance']:
        found['no_better'] = (f'Generated texture is no nearer to real LR ({g["haar_distance"]:.1f}) than bicubic LR '
                              f'({bicubic["haar_distance"]:.1f}). '
                              + (cause or 'If that lasts, change train.gan_opt.loss_weight: '
                                 + ('down.' if g['color_drift'] > DRIFT else
                                    'up where LR looks clean, down where it shows artefacts.')))
    if g['spectrum_distance'] > max(OTHER_SPECTRUM, 1.5 * bicubic['spectrum_distance']):
        found['spectrum'] = (f'Fine detail is lost or exaggerated: the spectrum is {g["spectrum_distance"]:.1f} dB '
                             f'from that of real LR, and bicubic LR {bicubic["spectrum_distance"]:.1f} dB. '
                             + (cause or 'Train longer; if that lasts, give train.spectrum_opt a SpectrumLoss, or '
                                         'change train.gan_opt.loss_weight: up where LR looks smooth, down where it '
                                         'shows artefacts.'))
    real_score, fake_score = state.real_score, state.fake_score
    if real_score > 1 - SATURATED and fake_score < SATURATED:
        found['saturated'] = (f'The discriminator is saturated (real {real_score:.2f}, generated {fake_score:.2f}): it '
                              'tells all photos apart and hardly guides the generator any more. Lower '
                              'train.optim_d.lr, raise train.disc_freq, or use train.relativistic: true.')
    elif abs(real_score - fake_score) < BLIND and g['haar_distance'] > 2 * FAR_FROM_REAL:
        found['blind'] = (f'The discriminator tells nothing apart (real {real_score:.2f}, generated {fake_score:.2f}), '
                          'although generated LR is still far from real. Raise train.optim_d.lr, or try another '
                          'network_d.norm or net.')
    if g['color_drift'] > DRIFT:
        away = f'{g["color_drift"]:.0f} levels from those of the HR photos'
        if state.adversarial != 0 and cause:
            found['color'] = f'Colours are off: they are {away}. {cause}'
        elif math.isnan(state.drift_before):
            found['color'] = (f'Colours are off: they are {away}. Train longer; if they come no nearer, raise '
                              'train.color_opt.loss_weight.')
        elif g['color_drift'] < ON_THEIR_WAY * state.drift_before:
            found['color'] = (f'Colours are not there yet: they are {away}, after {state.drift_before:.0f} at the '
                              'validation before. Train longer; if they stop on their way, raise '
                              'train.color_opt.loss_weight.')
        else:
            found['color'] = (f'Colours drift: they are {away}. Raise train.color_opt.loss_weight'
                              + (', or lower train.gan_opt.loss_weight.' if state.adversarial else '.'))
    if g['noise_level'] > max(2 * real['noise_level'], real['noise_level'] + TOO_NOISY):
        found['noisy'] = (f'Generated LR is far noisier ({g["noise_level"]:.1f} levels) than real LR '
                          f'({real["noise_level"]:.1f}). Lower train.gan_opt.loss_weight or train.optim_g.noise_lr.')
    return found
