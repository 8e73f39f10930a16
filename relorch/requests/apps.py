from django.apps import AppConfig


class RequestsConfig(AppConfig):
    name = "relorch.requests"
    label = "requests"
    verbose_name = "Requests"
    default_auto_field = "django.db.models.BigAutoField"
