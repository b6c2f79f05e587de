//! What the descriptions of endpoints are put together from: schemas, answers, headers, parameters.

use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{
    HttpMethod, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem,
};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{AllOfBuilder, ArrayBuilder, ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{
    ComponentsBuilder, Header, Paths, Ref, RefOr, Required, Response, ResponseBuilder, Schema,
};

use super::{headers, problems};
use crate::acceptor::auth::Access;

pub const JSON: &str = "application/json";

/// The name of the scheme that a regular key satisfies.
pub const REGULAR_KEY: &str = "regularKey";
/// The name of the scheme that an admin key satisfies.
pub const ADMIN_KEY: &str = "adminKey";

/// Paths and components, as they are collected from one family of endpoints after the other.
pub struct Book {
    pub paths: Paths,
    pub components: ComponentsBuilder,
}

impl Book {
    /// Adds an endpoint.
    pub fn endpoint(&mut self, method: HttpMethod, path: &str, operation: OperationBuilder) {
        self.paths
            .paths
            .insert(path.to_owned(), PathItem::new(method, operation));
    }

    /// Adds a schema that others refer to.
    pub fn schema(&mut self, name: &str, schema: impl Into<RefOr<Schema>>) {
        let components = std::mem::take(&mut self.components);
        self.components = components.schema(name, schema);
    }

    /// Adds the schema of a type, and those that it refers to.
    pub fn schema_of<T: ToSchema>(&mut self) {
        let mut named = Vec::new();
        T::schemas(&mut named);
        let components = std::mem::take(&mut self.components);
        self.components = components.schema_from::<T>().schemas_from_iter(named);
    }
}

/// An endpoint and what every endpoint of its kind can answer: 400 and 431 to a head that breaks a rule, 503 where there
/// is no room for the connection, and below `/v1` what keys, rate limits and the state of the server lead to.
pub fn operation(id: &str, tag: &str, access: Access) -> OperationBuilder {
    let operation = OperationBuilder::new()
        .operation_id(Some(id))
        .tag(tag)
        .parameter_ref(Ref::new("#/components/parameters/RequestId"))
        .response("400", problems::refer("BadRequest"))
        .response("431", problems::refer("HeadersTooLarge"))
        .response("503", problems::refer("Unavailable"));
    if access == Access::None {
        return operation.securities(Some([]));
    }
    let operation = operation
        .response("401", problems::refer("Unauthorized"))
        .response("429", problems::refer("RateLimited"));
    let key = |scheme: &str| SecurityRequirement::new::<_, [&str; 0], _>(scheme, []);
    match access {
        Access::Admin => operation
            .response("403", problems::refer("Forbidden"))
            .security(key(ADMIN_KEY)),
        _ => operation
            .security(key(REGULAR_KEY))
            .security(key(ADMIN_KEY)),
    }
}

/// An endpoint that takes a body, and what its body can lead to.
pub fn with_body(operation: OperationBuilder, body: RequestBody) -> OperationBuilder {
    operation
        .request_body(Some(body))
        .response("413", problems::refer("BodyTooLarge"))
        .response("415", problems::refer("UnsupportedMediaType"))
}

/// A body with named examples.
pub fn body(schema: impl Into<RefOr<Schema>>, examples: &[(&str, &str, Value)]) -> RequestBody {
    RequestBodyBuilder::new()
        .required(Some(Required::True))
        .content(JSON, content(schema, examples))
        .build()
}

/// An answer in JSON with named examples, and the headers that every answer has.
pub fn answer(
    description: &str,
    schema: impl Into<RefOr<Schema>>,
    examples: &[(&str, &str, Value)],
) -> ResponseBuilder {
    headers::always(Response::builder().description(description))
        .content(JSON, content(schema, examples))
}

fn content(schema: impl Into<RefOr<Schema>>, examples: &[(&str, &str, Value)]) -> ContentBuilder {
    let named = examples.iter().map(|(name, summary, value)| {
        let example = utoipa::openapi::example::ExampleBuilder::new()
            .summary(*summary)
            .value(Some(value.clone()))
            .build();
        (*name, example)
    });
    ContentBuilder::new()
        .schema(Some(schema))
        .examples_from_iter(named)
}

/// An object. Members that are marked so must be there; others, which the schema does not name, may.
pub fn object(members: &[(&str, Required, RefOr<Schema>)]) -> ObjectBuilder {
    members.iter().fold(
        ObjectBuilder::new().schema_type(Type::Object),
        |object, (name, required, schema)| {
            let object = object.property(*name, schema.clone());
            match required {
                Required::True => object.required(*name),
                Required::False => object,
            }
        },
    )
}

/// The schema of that name.
pub fn refer(name: &str) -> RefOr<Schema> {
    Ref::from_schema_name(name).into()
}

/// The schema of that name, or null.
pub fn or_null(name: &str) -> RefOr<Schema> {
    OneOfBuilder::new().item(null()).item(refer(name)).into()
}

/// Nothing but null: the member is as good as absent.
pub fn null() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Null)
}

/// What the schema of that name says, and more.
pub fn narrowed(name: &str, more: ObjectBuilder) -> RefOr<Schema> {
    AllOfBuilder::new().item(refer(name)).item(more).into()
}

/// A list of what the schema of that name says.
pub fn list(name: &str, items_min: Option<usize>, items_max: Option<usize>) -> RefOr<Schema> {
    ArrayBuilder::new()
        .items(refer(name))
        .min_items(items_min)
        .max_items(items_max)
        .into()
}

/// A header of an answer.
pub fn header(description: &str, schema: impl Into<RefOr<Schema>>) -> Header {
    HeaderBuilder::new()
        .description(Some(description))
        .schema(Some(schema))
        .build()
}

/// A parameter of a query.
pub fn query(
    name: &str,
    required: Required,
    description: &str,
    schema: impl Into<RefOr<Schema>>,
) -> Parameter {
    parameter(name, ParameterIn::Query, description, schema)
        .required(required)
        .build()
}

/// A segment of a path.
pub fn segment(name: &str, description: &str, schema: impl Into<RefOr<Schema>>) -> Parameter {
    parameter(name, ParameterIn::Path, description, schema)
        .required(Required::True)
        .build()
}

/// A header of a request.
pub fn request_header(
    name: &str,
    description: &str,
    schema: impl Into<RefOr<Schema>>,
) -> Parameter {
    parameter(name, ParameterIn::Header, description, schema)
        .required(Required::False)
        .build()
}

fn parameter(
    name: &str,
    place: ParameterIn,
    description: &str,
    schema: impl Into<RefOr<Schema>>,
) -> ParameterBuilder {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .description(Some(description))
        .schema(Some(schema))
}
