// Shows openapi.json of the server that this page comes from. "Execute" sends to that server; keys stay in this tab.
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#description",
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  deepLinking: true,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
});
