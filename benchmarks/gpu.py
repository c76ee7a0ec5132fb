"""All that a GPU has to tell about this project, in one command of a few minutes: a table and a JSON file.

    python benchmarks/gpu.py                                 nine minutes, into gpu-benchmark/gpu.md and gpu.json
    python benchmarks/gpu.py --parts machine compiled        these alone: what compilation had no time for, say
    python benchmarks/gpu.py --device cpu --size toy         that all of it runs, on any machine

It needs no network and no data. Parts come in order of worth, each in a process of its own with a time limit: one that
fails or hangs says why, and the next has its turn. Both files are written anew with each figure, so that a run that is
killed leaves what it had. What is compiled comes last: it takes whatever time is left.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from mssr_compat.files import write_whole

SCHEMA = 1
RESERVE, LEAST, PATIENCE = 8.0, 5.0, 5.0  # seconds: for the end, to begin a part, for a part to stop
STEPS = 'a step, published against ours, and how far losses are apart'


@dataclass(frozen=True)
class Part:
    """One process: ``name`` in the JSON, what it is about, the most seconds that it may take, its command."""

    name: str
    title: str
    limit: float
    command: tuple[str, ...]


def parts(device: str, size: str, work: Path) -> list[Part]:
    """All parts, in order of worth."""
    def part(name, title, limit, *words):
        command = (sys.executable, str(ROOT / 'benchmarks' / 'gpu_parts.py'), *(words or (name,)), '--device', device,
                   '--size', size, '--work', str(work))
        return Part(name, title, limit if size == 'gpu' else 3600, command)  # a CPU may have other work

    settings = {'stage2-b1': 'Stage 2, batch 1', 'stage2-b16': 'Stage 2, batch 16', 'deresnet': 'Stage 1, DeResnet',
                'han': 'Stage 1, HAN'}
    limits = {'stage2-b1': 200, 'deresnet': 90, 'stage2-b16': 200}
    if size == 'toy':  # a process for each setting would take longer than all steps
        measured = [part('steps', f'Both stages: {STEPS}', 200)]
        limits.pop('deresnet'), limits.pop('stage2-b16')
    else:
        measured = [part(f'steps {key}', f'{words}: {STEPS}', 100, 'steps', key) for key, words in settings.items()]
    return [
        part('machine', 'The machine', 60),
        part('golden', 'The published figures, without TF32: how far each case is from them', 120),
        part('recipes', 'Both stages by the recipes, on the bundled photographs', 120),
        *measured,
        part('nccl', 'Both stages under torchrun, one process', 75),
        part('inference', "Upscaling against spandrel's plain call", 60),
        *(part(f'compiled {key}', f'{settings[key]}, compiled: {STEPS}', limit, 'compiled', key)
          for key, limit in limits.items()),
    ]


class Record:
    """The JSON document, and the table made of it."""

    def __init__(self, folder: Path, wanted: list[Part], about: dict) -> None:
        self.folder, self.began = folder, time.monotonic()
        self.parts = {part.name: {'name': part.name, 'title': part.title, 'state': 'waiting', 'seconds': None,
                                  'why': '', 'rows': []} for part in wanted}
        self.document = {'schema': SCHEMA, **about, 'finished': False, 'seconds': 0.0,
                         'parts': list(self.parts.values())}

    def write(self) -> None:
        self.document['seconds'] = round(time.monotonic() - self.began, 1)
        shown = {**self.document, 'parts': with_memory(self.document)}
        write_whole(self.folder / 'gpu.json', json.dumps(shown, indent=1) + '\n')
        write_whole(self.folder / 'gpu.md', table(shown))


def with_memory(document: dict) -> list[dict]:
    """The parts, and behind the steps the peaks of memory that they met."""
    told = document['parts']
    steps = [part for part in told if part['name'].startswith(('steps', 'compiled'))]
    if not steps:
        return told
    rows = [{**row, 'figures': {'peak_gib': row['figures']['peak_gib']}, 'goal': None, 'reached': None, 'note': ''}
            for part in steps for row in part['rows'] if 'peak_gib' in row['figures']]
    coming = any(part['state'] in ('waiting', 'running') for part in steps)
    state = 'done' if rows else 'waiting' if coming else 'left out'
    why = {'left out': 'not measured on a CPU: step_speed.py --memory does' if document['device'] == 'cpu' else
           'no step was measured'}.get(state, '')
    memory = {'name': 'memory', 'title': 'Peak memory of each configuration, alone (max_memory_allocated)',
              'state': state, 'seconds': 0.0, 'why': why, 'rows': rows}
    behind = 1 + max((k for k, part in enumerate(told) if part['name'].startswith('steps')), default=len(told) - 1)
    return [*told[:behind], memory, *told[behind:]]


def run(part: Part, told: dict, record: Record, left: float, logs: Path) -> None:
    """One part, watched; its rows join the record as they come."""
    name, limit = part.name.replace(' ', '-'), min(part.limit, left)
    if left < LEAST:
        told.update(state='left out', why=f'{max(0.0, left):.0f} s were left')
        return
    rows, log, began = logs / f'{name}.jsonl', logs / f'{name}.log', time.monotonic()
    rows.unlink(missing_ok=True)
    told['state'] = 'running'
    command = [*part.command, '--rows', str(rows), '--limit', str(int(limit + 2 * PATIENCE))]
    with open(log, 'wb') as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        record.write()
        while process.poll() is None and time.monotonic() - began < limit:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(min(1.0, max(0.01, limit + began - time.monotonic())))
            found = read_rows(rows)
            if len(found) > len(told['rows']):
                told.update(rows=found, seconds=round(time.monotonic() - began, 1))
                record.write()
        status = process.poll()
        told.update(state='cut off', why=f'its {limit:.0f} s were over')
    except BaseException as error:
        told.update(state='cut off', why=f'the run was ended ({type(error).__name__})')
        raise
    finally:
        end_group(process)
        told.update(rows=read_rows(rows), seconds=round(time.monotonic() - began, 1))
    if status is not None:
        told.update(judged(status, told['rows'], log))


def read_rows(file: Path) -> list[dict]:
    """The whole lines of a file that may be in the making."""
    if not file.is_file():
        return []
    return [json.loads(line) for line in file.read_text(encoding='utf-8').splitlines(True) if line.endswith('\n')]


def judged(status: int, rows: list[dict], log: Path) -> dict:
    """The state of a part that has ended by itself, and why."""
    errors = [f'{row["case"]} {row["configuration"]}'.strip() + f': {row["error"]}' for row in rows if row['error']]
    if status:
        last = [line for line in log.read_text(encoding='utf-8', errors='replace').splitlines() if line.strip()][-1:]
        errors.insert(0, f'status {status}: {"".join(last)[:300]}')
    elif not rows:
        errors.insert(0, 'it told nothing')
    return {'state': 'failed' if errors else 'done', 'why': '; '.join(errors[:3])}


def end_group(process: subprocess.Popen) -> None:
    """End a part and all that it has started; torchrun ends its processes where it is asked first."""
    def send(number):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
            return True
        return False

    end, asked = time.monotonic() + PATIENCE, send(signal.SIGTERM)
    while asked and time.monotonic() < end and (process.poll() is None or send(0)):
        time.sleep(0.1)
    send(signal.SIGKILL)
    process.wait()


def table(document: dict) -> str:
    """The document as Markdown."""
    told = document['parts']
    lines = [f'# GPU benchmark: device {document["device"]}, size {document["size"]}', '',
             f'{document["began"]}; {document["seconds"]:.0f} s of {60 * document["minutes"]:.0f}; '
             f'{"all parts have had their turn" if document["finished"] else "not finished"}.', '']
    if document['size'] == 'toy':
        lines += ['**Toy size: this shows that all runs; its times and memory mean nothing.**', '']
    lines += grid(['part', 'state', 'seconds', 'rows', 'goals reached', 'why'],
                  [[part['name'], part['state'], shown(part['seconds']), str(len(part['rows'])),
                    ' of '.join(map(str, goals(part['rows']))), part['why']] for part in told])
    for part in told:
        figures = list(dict.fromkeys(name for row in part['rows'] for name in row['figures']))
        lines += ['', f'## {part["title"]}', '', f'{part["name"]}: {part["state"]}. {part["why"]}'.rstrip(), '']
        if part['rows']:
            lines += grid(['case', 'configuration', *figures, 'goal', 'reached', 'note'], [
                [row['case'], row['configuration'], *(shown(row['figures'].get(name)) for name in figures),
                 shown(row['goal']), {True: 'yes', False: '**no**', None: ''}[row['reached']],
                 f'**failed: {row["error"]}**' if row['error'] else row['note']] for row in part['rows']])
    return '\n'.join(lines) + '\n'


def goals(rows: list[dict]) -> tuple[int, int]:
    """How many goals are reached, of how many."""
    aims = [bool(row['reached']) for row in rows if row['goal'] is not None]
    return sum(aims), len(aims)


def shown(value: float | None) -> str:
    return '' if value is None else f'{value:.4g}'


def grid(head: list[str], rows: list[list[str]]) -> list[str]:
    """A Markdown table, without columns that are empty all the way down."""
    kept = [k for k in range(len(head)) if any(row[k] for row in rows)]
    lines = [head, ['---'] * len(head), *([cell.replace('|', '/').replace('\n', ' ') for cell in row] for row in rows)]
    return ['| ' + ' | '.join(line[k] for k in kept) + ' |' for line in lines]


def run_all(wanted: list[Part], folder: Path, minutes: float, **about) -> Record:
    """Each part in turn, as long as there is time; the record is written whatever happens."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'logs').mkdir(exist_ok=True)
    record = Record(folder, wanted, {'began': time.strftime('%Y-%m-%d %H:%M:%S %z'), 'minutes': minutes, **about})
    try:
        for part in wanted:
            told = record.parts[part.name]
            run(part, told, record, 60 * minutes - RESERVE - (time.monotonic() - record.began), folder / 'logs')
            print(f'{part.name}: {told["state"]}, {shown(told["seconds"]) or 0} s. {told["why"]}', flush=True)
            record.write()
        record.document['finished'] = True
    finally:
        record.write()
    return record


def stop(number, _frame):
    raise SystemExit(128 + number)


def main() -> int:
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--minutes', type=float, default=9, help='in which it ends (9)')
    parser.add_argument('--out', type=Path, default=Path('gpu-benchmark'), metavar='FOLDER', help='(gpu-benchmark)')
    parser.add_argument('--device', choices=('cuda', 'cpu'), help='(the GPU, if there is one)')
    parser.add_argument('--size', choices=('gpu', 'toy'), help='toy: to see that all runs (gpu on a GPU, else toy)')
    parser.add_argument('--parts', nargs='+', metavar='NAME',
                        help='these alone, by the beginnings of their names, such as compiled')
    args = parser.parse_args()
    device = args.device or ('cuda' if torch.cuda.is_available() else 'cpu')
    if device == 'cuda' and not torch.cuda.is_available():
        parser.error(f'--device is cuda, but torch {torch.__version__} sees no GPU; on a CPU take --device cpu.')
    size = args.size or ('gpu' if device == 'cuda' else 'toy')
    signal.signal(signal.SIGTERM, stop)
    with tempfile.TemporaryDirectory(prefix='gpu-benchmark-') as work:
        wanted = [part for part in parts(device, size, Path(work)) if part.name.startswith(tuple(args.parts or ('',)))]
        record = run_all(wanted, args.out, args.minutes, device=device, size=size)
    print(f'{args.out / "gpu.md"}\n{args.out / "gpu.json"}')
    return int(any(part['state'] == 'failed' for part in record.parts.values()))


if __name__ == '__main__':
    sys.exit(main())
