"""Installs the peers and writes the checkpoint into build/peers. Installs a peer again when its
pinned version changes."""

import glob
import os
import shlex
import shutil
import subprocess
import sys


# Some peers install these packages in builds that do not match torch's build. Such a build breaks
# imports. Nothing here needs these packages.
TORCH_COMPANIONS = ("torchvision", "torchaudio", "torchcodec")


class Failure(Exception):
    """An error: the step that failed, and the last lines of its log."""


def last_lines(log, count=12):
    with open(log, errors="replace") as file:
        lines = [line.rstrip()[:300] for line in file if line.strip()]
    return "\n".join(lines[-count:])


def pinned(root):
    """Returns the variables of scripts/versions.sh."""
    with open(os.path.join(root, "scripts", "versions.sh")) as file:
        words = shlex.split(file.read(), comments=True)
    return dict(word.split("=", 1) for word in words)


def say(text):
    print(f"peers: {text}", file=sys.stderr, flush=True)


def run(what, command, log, **options):
    """Runs the command at low priority and appends its output to the log."""
    with open(log, "a") as file:
        file.write(f"$ {shlex.join(command)}\n")
        file.flush()
        try:
            done = subprocess.run(["nice", *command], stdin=subprocess.DEVNULL, stdout=file, stderr=file, **options)
        except OSError as error:
            raise Failure(f"{what}: {error}") from error
    if done.returncode != 0:
        raise Failure(f"{what} failed with {done.returncode}; the end of {os.path.basename(log)}:\n{last_lines(log)}")


def python_of(folder):
    return os.path.join(folder, "venv", "bin", "python")


def unpack_system_libraries(packages, folder, log):
    """Unpacks Debian packages beside the venv. The system's own packages stay unchanged. Without
    the packages, the peer still runs, but more slowly; its flags name the libraries that were
    preloaded."""
    target = os.path.join(folder, "libraries")
    os.makedirs(target, exist_ok=True)
    try:
        run("apt-get download", ["apt-get", "download", *packages], log, cwd=target)
        for package in glob.glob(os.path.join(target, "*.deb")):
            run("dpkg -x", ["dpkg", "-x", package, target], log)
    except Failure as failure:
        say(f"goes on without {' '.join(packages)}: {failure}")


def install(peer, versions, folder):
    """Installs the peer into FOLDER/venv, unless the pinned versions are already there."""
    wanted = [versions["TORCH"]] if peer.torch else []
    wanted += shlex.split(versions[peer.requirements])
    stamp = os.path.join(folder, "installed")
    record = " ".join(wanted) + "\n"
    if os.path.exists(stamp) and open(stamp).read() == record:
        return
    say(f"installing {peer.name} ({' '.join(wanted)})")
    os.makedirs(folder, exist_ok=True)
    log = os.path.join(folder, "install.log")
    open(log, "w").close()
    shutil.rmtree(os.path.join(folder, "venv"), ignore_errors=True)
    run("python3 -m venv", [sys.executable, "-m", "venv", os.path.join(folder, "venv")], log)
    python = python_of(folder)
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    constraints = os.path.join(folder, "constraints.txt")
    with open(constraints, "w") as file:
        file.write(versions["TORCH"] + "\n")
    if peer.torch:
        run("pip install torch", [*pip, "install", versions["TORCH"]], log)
        run(
            f"{versions['TORCH']}: expected a build for CPUs (have pip take it from an index that serves one); the check",
            [python, "-c", "import sys, torch; sys.exit(torch.version.cuda is not None)"],
            log,
        )
    build = {**os.environ, **peer.build_environment}
    packages = shlex.split(versions[peer.requirements])
    run("pip install", [*pip, "install", "-c", constraints, *peer.pip_options, *packages], log, env=build)
    if peer.torch:
        run("pip uninstall", [*pip, "uninstall", "-y", *TORCH_COMPANIONS], log)
    if peer.system_libraries:
        unpack_system_libraries(shlex.split(versions[peer.system_libraries]), folder, log)
    with open(stamp, "w") as file:
        file.write(record)


def synthesize(merope, checkpoint, log):
    """Writes the checkpoint that all engines run: random bf16 weights in the shape of
    Pleias-RAG-350M."""
    if os.path.exists(os.path.join(checkpoint, "config.json")):
        return
    say("writing the synthetic checkpoint")
    partial = checkpoint + ".partial"
    shutil.rmtree(partial, ignore_errors=True)
    command = [merope, "synth", "--like", "pleias-rag-350m", "--dtype", "bf16", "--seed", "0", partial]
    run("merope synth", command, log)
    os.replace(partial, checkpoint)


def convert(peer, variant, checkpoint, folder, source):
    """Converts the checkpoint to the peer's format, once. Returns the directory of the result."""
    if variant in peer.as_is:
        return checkpoint
    model = os.path.join(folder, "models", variant)
    if os.path.isdir(model):
        return model
    say(f"converting the checkpoint for {peer.name} {variant}")
    partial = model + ".partial"
    shutil.rmtree(partial, ignore_errors=True)
    os.makedirs(partial)
    log = os.path.join(folder, f"convert-{variant}.log")
    open(log, "w").close()
    run("the conversion", [python_of(folder), source, "convert", variant, checkpoint, partial], log)
    os.replace(partial, model)
    return model
