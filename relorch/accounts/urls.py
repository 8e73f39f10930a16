"""Addresses of the own account, beside those of allauth."""

from django.urls import path

from relorch.accounts import views

app_name = "accounts"
urlpatterns = [
    path("theme/", views.theme, name="theme"),
]
