"""Addresses of releases. What a button does is the last part of its address: the name of the verb."""

from django.urls import path

from releases import starting_views, views

app_name = "releases"
urlpatterns = [
    path("", views.index, name="list"),
    path("start/", starting_views.choose, name="start"),
    path("start/<slug:process>/", starting_views.start, name="start_process"),
    path("<int:pk>/", views.detail, name="detail"),
    path("<int:pk>/live/<slug:shown>/", views.live, name="live"),
    path("<int:pk>/<slug:verb>/", views.operate, name="operate"),
    path("<int:pk>/activities/<slug:key>/", views.activity, name="activity"),
    path("<int:pk>/activities/<slug:key>/live/<slug:shown>/", views.activity_live, name="activity_live"),
    path("<int:pk>/activities/<slug:key>/log/", views.log, name="log"),
    path("<int:pk>/activities/<slug:key>/<slug:verb>/", views.act, name="act"),
]
