"""Addresses of releases. What a button does is the last part of its address: the name of the verb."""

from django.urls import path

from releases import draft_pages, saving_views, starting_views, talk_views, views

app_name = "releases"
urlpatterns = [
    path("", views.index, name="list"),
    path("filters/", saving_views.save, name="save_filter"),
    path("filters/<int:pk>/", saving_views.save, name="change_filter"),
    path("start/", starting_views.choose, name="start"),
    path("start/<slug:process>/", starting_views.start, name="start_process"),
    path("start/<slug:process>/plan/", starting_views.start, {"only_plan": True}, name="plan_process"),
    path("<int:pk>/edit/<slug:step>/", draft_pages.edit, name="edit"),
    path("<int:pk>/", views.detail, name="detail"),
    path("<int:pk>/live/<slug:shown>/", views.live, name="live"),
    path("<int:pk>/comments/", talk_views.comment, name="comment"),
    path("<int:pk>/comments/<int:number>/", talk_views.change_comment, name="change_comment"),
    path("<int:pk>/attachments/", talk_views.attach, name="attach"),
    path("<int:pk>/attachments/<int:number>/", talk_views.attachment, name="attachment"),
    path("<int:pk>/attachments/<int:number>/remove/", talk_views.remove_attachment, name="remove_attachment"),
    path("<int:pk>/<slug:verb>/", views.operate, name="operate"),
    path("<int:pk>/activities/<slug:key>/", views.activity, name="activity"),
    path("<int:pk>/activities/<slug:key>/live/<slug:shown>/", views.activity_live, name="activity_live"),
    path("<int:pk>/activities/<slug:key>/log/", views.log, name="log"),
    path("<int:pk>/activities/<slug:key>/comments/", talk_views.comment, name="comment_activity"),
    path("<int:pk>/activities/<slug:key>/attachments/", talk_views.attach, name="attach_activity"),
    path("<int:pk>/activities/<slug:key>/<slug:verb>/", views.act, name="act"),
]
