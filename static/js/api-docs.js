"use strict";

// Starts the API's page. The session serves to try calls out; a token given under "Authorize" goes before it.
const place = document.getElementById("swagger-ui");
window.SwaggerUIBundle({
  domNode: place,
  url: place.dataset.schema,
  deepLinking: true,
  displayRequestDuration: true,
  validatorUrl: null,
  requestInterceptor: (request) => {
    const own = new URL(request.url, document.baseURI).origin === window.location.origin;
    if (own && request.method !== "GET" && request.method !== "HEAD") {
      request.headers["X-CSRFToken"] = place.dataset.csrf;
    }
    return request;
  },
});
