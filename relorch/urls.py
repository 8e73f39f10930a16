"""Which address leads where."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path

import relorch.accounts.urls
from relorch import gallery, new_process, process_pages, profile, trying_pages, views

handler400 = "relorch.lib.http.handler400"
handler403 = "relorch.lib.http.handler403"
handler404 = "relorch.lib.http.handler404"
handler500 = "relorch.lib.http.handler500"

urlpatterns = [
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
    path("accounts/", include("allauth.urls")),
    path("account/", include(([*profile.urlpatterns, *relorch.accounts.urls.urlpatterns], "accounts"))),
    path("api/v1/", include("relorch.api")),
    path("admin/", admin.site.urls),
    path("releases/", include("releases.urls")),
    path("processes/", include(([*new_process.urlpatterns, *process_pages.urlpatterns, *trying_pages.urlpatterns], "processes"))),
    path("", include("approvals.urls")),
]
if not settings.PRODUCTION:
    urlpatterns += [path("components/", gallery.show, name="components")]
