from django.apps import AppConfig


class ApprovalsConfig(AppConfig):
    name = "approvals"
    label = "approvals"
    verbose_name = "Approvals"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """A release says whom it waits for; only this app, which stands above, knows who may decide."""
        from approvals.cases import deciders
        from releases.waiting import provide_deciders

        provide_deciders(deciders)
