"""A Flask service whose computing does not hold up its other threads.

To try it, in this folder::

    pip install flask gunicorn
    gunicorn --workers 1 --threads 8 flask_service:app
    curl localhost:8000/primes/3000000
"""

from executor import executor
from flask import Flask, Response, jsonify
from work import primes_below

from lanewise import TaskTimeoutError

app = Flask(__name__)


@app.get("/primes/<int:limit>")
def primes(limit: int) -> Response:
    """Count primes on whatever lane is best for so many."""
    return jsonify(primes=executor().submit(primes_below, limit).result())


@app.errorhandler(TaskTimeoutError)
def too_long(_error: TaskTimeoutError) -> tuple[Response, int]:
    """Tell the client that it took too long; where it ran in a process, it has been stopped."""
    return jsonify(error="that takes too long"), 504
