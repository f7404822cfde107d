"""A Django service in one file, whose computing does not hold up its other threads.

To try it, in this folder::

    pip install django gunicorn
    gunicorn --workers 1 --threads 8 django_service:app
    curl localhost:8000/primes/3000000
"""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path
from executor import executor
from work import primes_below

from lanewise import TaskTimeoutError

settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["localhost", "127.0.0.1"],
    SECRET_KEY=os.environ.get("DJANGO_SECRET_KEY", "only for trying it out"),
)


def primes(_request: HttpRequest, limit: int) -> JsonResponse:
    """Count primes on whatever lane is best for so many."""
    try:
        return JsonResponse({"primes": executor().submit(primes_below, limit).result()})
    except TaskTimeoutError:  # where it ran in a process, it has been stopped
        return JsonResponse({"error": "that takes too long"}, status=504)


urlpatterns = [path("primes/<int:limit>", primes)]
app = get_wsgi_application()
