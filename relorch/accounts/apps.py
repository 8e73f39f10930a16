from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "relorch.accounts"
    label = "accounts"
    verbose_name = "People"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """What people confirm themselves with is on the record."""
        from relorch.accounts import authenticators

        authenticators.listen()
