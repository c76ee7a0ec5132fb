"""Processes of this Python without the seconds that imports take: forks of one that has imported and done no more.

:func:`popen` and :func:`run` are those of :mod:`subprocess`, and so is what they give: a process with its own number,
group, files, folder, arguments and environment, that receives signals and ends as any other does. But torch, BasicSR
and what they need are there when it begins. This project's packages are not: each process imports, and so registers,
what it would. Where a fork would differ from a start (other interpreters and their options, a variable that an import
may read, systems other than Linux), they start the process as :mod:`subprocess` does. What must begin with the first
import (packaging, what users call from a shell) is tested by :mod:`subprocess` itself.

Processes that are forked can import this module, and have others forked by the same server.
"""

import atexit
import functools
import gc
import importlib
import inspect
import json
import multiprocessing.process
import os
import runpy
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import types
from contextlib import suppress
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT, CompletedProcess, TimeoutExpired  # noqa: F401

ROOT = Path(__file__).resolve().parent.parent
ADDRESS = 'READY_PYTHON'  # variable with the server's address
PRELOADED = ('mssr_compat', 'basicsr', 'basicsr.train', 'basicsr.test', 'pytorch_wavelets', 'torch._dynamo',
             'torch.distributed.run',
             'torch.distributed.elastic.rendezvous.c10d_rendezvous_backend', 'pydantic', 'pydantic.json_schema',
             'PIL.Image')
# No import reads these, or become() sees to it; all others must be those that the imports saw.
FREE = {ADDRESS, 'PATH', 'PYTHONPATH', 'PYTHONUNBUFFERED', 'PYTEST_CURRENT_TEST', 'KEPT', 'COLUMNS', 'LINES',
        'GLOO_SOCKET_IFNAME', 'RANK', 'LOCAL_RANK', 'GROUP_RANK', 'ROLE_RANK', 'ROLE_NAME', 'WORLD_SIZE',
        'LOCAL_WORLD_SIZE', 'GROUP_WORLD_SIZE', 'ROLE_WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT',
        'TORCH_NCCL_ASYNC_ERROR_HANDLING', 'NCCL_DEBUG', 'NCCL_SOCKET_IFNAME'}
FREE_PREFIXES = ('MSSR_', 'SLURM_', 'TORCHELASTIC_', 'PYTEST_XDIST_')
KEYWORDS = {'args', 'cwd', 'env', 'stdin', 'stdout', 'stderr', 'text', 'start_new_session'}
# What stands for `python -m torch.distributed.run`: itself, but for its workers, which are forked.
TORCHRUN = [sys.executable, '-c', f'''
import sys
sys.path.append({str(ROOT / 'tests')!r})
from ready_python import fork_for
from torch.distributed import run
from torch.distributed.elastic.multiprocessing.subprocess_handler import subprocess_handler
fork_for(subprocess_handler)
run.main()
''']
STREAMS = ('p2cread', 'c2pwrite', 'errwrite')  # what subprocess calls the process's own ends
REQUEST_SIZE = 1 << 17
NUMBER = struct.Struct('i')


def run(args, timeout=None, capture_output=False, **keywords):
    """As :func:`subprocess.run`."""
    if capture_output:
        keywords |= {'stdout': PIPE, 'stderr': PIPE}
    with popen(args, **keywords) as process:
        try:
            output, errors = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    return CompletedProcess(args, process.returncode, output, errors)


def popen(args, **keywords):
    """As :class:`subprocess.Popen`."""
    args = list(map(str, args))
    if args[:3] == [sys.executable, '-m', 'torch.distributed.run']:
        args[:3] = TORCHRUN
    same = sys.platform == 'linux' and keywords.keys() <= KEYWORDS and args[0] == sys.executable and (
        args[1] in ('-c', '-m', '-u') or not args[1].startswith('-'))
    return (Fork if same else subprocess.Popen)(args, **keywords)


Popen = popen  # so that this module can stand in for subprocess


def fork_for(module, setattr=setattr):
    """Have the processes that ``module`` starts by :mod:`subprocess` forked; ``setattr`` may be pytest's."""
    setattr(module, 'subprocess', types.SimpleNamespace(**{**vars(subprocess), 'Popen': popen, 'run': run}))
    if hasattr(module, 'Popen'):
        setattr(module, 'Popen', popen)


class Fork(subprocess.Popen):
    """A process that the server forks, unless it cannot be."""

    status = None  # pipe that tells its number and its end

    def _execute_child(self, *args, **kwargs):
        given = inspect.signature(subprocess.Popen._execute_child).bind(self, *args, **kwargs).arguments
        request = {'arguments': given['args'], 'folder': os.fspath(given['cwd'] or os.getcwd()),
                   'environment': {**(given['env'] or os.environ), ADDRESS: server()},
                   'session': given['start_new_session']}
        files = [number if given[name] == -1 else given[name] for number, name in enumerate(STREAMS)]
        self.status, status = os.pipe()
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.connect(server())
            socket.send_fds(connection, [json.dumps(request).encode()], [*files, status])
        os.close(status)
        self.pid = self._read_status()
        if not self.pid:
            os.close(self.status)
            self.status = None
            return super()._execute_child(*args, **kwargs)
        self._close_pipe_fds(*(given[name] for name in ('p2cread', 'p2cwrite', 'c2pread', 'c2pwrite', 'errread',
                                                        'errwrite')))

    def _read_status(self):
        told = os.read(self.status, NUMBER.size)
        assert told, 'the server that forks has ended'
        return NUMBER.unpack(told)[0]

    def wait(self, timeout=None):
        if self.status is None:
            return super().wait(timeout)
        if self.returncode is None:
            if not select.select([self.status], [], [], timeout)[0]:
                raise TimeoutExpired(self.args, timeout)
            self.returncode = os.waitstatus_to_exitcode(self._read_status())
            os.close(self.status)
        return self.returncode

    def poll(self):
        if self.status is None:
            return super().poll()
        try:
            return self.wait(0)
        except TimeoutExpired:
            return None


@functools.cache
def server():
    """The address of the server; it is started, for as long as this process lasts, unless another has done so."""
    if ADDRESS in os.environ:
        return os.environ[ADDRESS]
    folder = tempfile.mkdtemp()  # of this user alone
    os.environ[ADDRESS] = address = os.path.join(folder, 'address')
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(address)
        listener.listen(64)
        process = subprocess.Popen([sys.executable, __file__, str(listener.fileno())], pass_fds=[listener.fileno()],
                                   stdin=PIPE, stdout=DEVNULL, cwd='/')

    @atexit.register
    def end():
        process.stdin.close()
        process.wait()
        shutil.rmtree(folder)

    return address


# --- the server ---------------------------------------------------------------------------------------------------


def serve(listener, environment):
    """Fork for each request; returns in the forked process alone, with the request, when its files are in place.

    ``environment``: that of this process before the imports, which set some variables.
    """
    added = {name: value for name, value in os.environ.items() if environment.get(name) != value}
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # Ctrl-C reaches the group, and is for the others
    while True:
        ready, _, _ = select.select([0, listener], [], [])
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if ready == [0]:
            os._exit(0)  # who started it is gone
        with listener.accept()[0] as connection:
            request, files, *_ = socket.recv_fds(connection, REQUEST_SIZE, 4)
        if not request:  # who connected was killed
            continue
        request = json.loads(request)
        *streams, status = files
        if fixed(request['environment'], added) != fixed(environment, added):
            tell(status, 0)
        elif not os.fork():
            break
        for file in files:
            os.close(file)
    # Between the two stands one that waits for the process and tells its end: the loop need not watch them all.
    listener.close()
    process = os.fork()
    if process:
        for file in streams:
            os.close(file)
        tell(status, os.waitpid(process, 0)[1])
        os._exit(0)
    if request['session']:
        os.setsid()
    for number, file in enumerate(streams):
        os.dup2(file, number)
    tell(status, os.getpid())
    for file in files:
        os.close(file)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    request['environment'] |= added
    return request


def tell(status, number):
    with suppress(BrokenPipeError):  # nobody wants to know any more
        os.write(status, NUMBER.pack(number))


def fixed(environment, added):
    return {name: value for name, value in environment.items()
            if name not in FREE and name not in added and not name.startswith(FREE_PREFIXES)}


def become(request, path):
    """Run what the request names as the interpreter would, whose own search path is ``path``."""
    sys.orig_argv, sys.argv = request['arguments'], request['arguments'][1:]
    os.chdir(request['folder'])
    os.environ.clear()
    os.environ.update(request['environment'])
    sys.path[:] = [*filter(None, os.environ.get('PYTHONPATH', '').split(os.pathsep)), *path]
    sys.modules['numpy'].random.seed()  # random and torch see to it themselves
    unbuffered = sys.argv[0] == '-u' and sys.argv.pop(0)
    if unbuffered or os.environ.get('PYTHONUNBUFFERED'):
        sys.stdout.reconfigure(write_through=True)
    multiprocessing.process.ORIGINAL_DIR = os.getcwd()  # where spawned workers look for the script
    program = sys.argv[0]
    if program == '-m':
        sys.path.insert(0, os.getcwd())
        runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)
        return
    module = sys.modules['__main__'] = types.ModuleType('__main__')
    if program == '-c':
        sys.path.insert(0, '')
        code = compile(sys.argv.pop(1), '<string>', 'exec')
    else:
        sys.path.insert(0, os.path.dirname(os.path.realpath(program)))
        module.__file__ = os.path.abspath(program)
        code = compile(Path(program).read_bytes(), module.__file__, 'exec')
    exec(code, vars(module))


def main():
    listener, environment = socket.socket(fileno=int(sys.argv[1])), dict(os.environ)
    # Neither this file's folder nor what a variable names.
    named = os.environ.get('PYTHONPATH', '').split(os.pathsep)
    path = [folder for folder in sys.path[1:] if folder not in named]
    sys.path[:] = [str(ROOT), *path]
    for name in PRELOADED:
        importlib.import_module(name)
    # What the shims did to others stays as long as they are kept, and is done once.
    kept = [sys.modules.pop(name) for name in list(sys.modules) if name.split('.')[0] == 'mssr_compat']
    tasks = len(os.listdir('/proc/self/task'))
    assert kept and tasks == threading.active_count() == 1, f'importing has started {tasks - 1} threads'
    gc.collect()
    gc.freeze()
    become(serve(listener, environment), path)


if __name__ == '__main__':
    main()
