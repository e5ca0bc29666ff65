"""The command consul-tls of the build under test."""


def run(programs, *arguments, config=None, env=None):
    """Run the command; `config` is an openssl.cnf for its option --config."""
    command = programs.module.parents[1] / "cli" / "consul-tls"
    more = ["--config", config] if config else []
    plain = {"OPENSSL_CONF": "/dev/null", **(env or {})}
    return programs.run([command, *arguments, *more], env=plain)


def good(programs, *arguments, **options):
    """Run the command and return its output. It must succeed."""
    result = run(programs, *arguments, **options)
    assert result.code == 0 and result.stderr == "", result
    return result.stdout


def bad(programs, *arguments, **options):
    """Run the command and return its error text. It must fail, and print nothing else."""
    result = run(programs, *arguments, **options)
    assert result.code != 0 and result.stdout == "", result
    assert "Sanitizer" not in result.stderr
    return result.stderr
