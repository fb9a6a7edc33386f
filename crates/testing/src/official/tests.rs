use super::*;

fn library() -> Value {
    let path = |name: &str| json!({"in": "path", "name": name, "required": true});
    let wide = |name: &str| json!({"in": "path", "name": name, "x-multi-segment": true});
    let size =
        json!({"in": "query", "name": "size", "schema": {"$ref": "#/components/schemas/size"}});
    let name = json!({"type": "object", "required": ["name"], "properties": {
        "name": {"type": "string"}, "note": {"type": "string", "nullable": true}}});
    let mut description = json!({
        "components": {
            "parameters": {"ref": wide("ref")},
            "schemas": {"size": {"type": "integer", "maximum": 100}},
        },
        "paths": {
            "/shelves": {
                "parameters": [size],
                "get": {"parameters": [{"in": "query", "name": "kind", "required": true, "schema": {"type": "string"}}]},
                "post": {"requestBody": {"required": true, "content": {"application/json": {"schema": name}}}},
            },
            "/shelves/{shelf}": {"delete": {"parameters": [path("shelf")]}},
            "/shelves/{shelf}:sort": {"post": {"parameters": [path("shelf")]}},
            "/files/{path}": {
                "get": {"parameters": [wide("path")]},
                "put": {"parameters": [wide("path")]},
            },
            "/commits/{ref}": {"get": {"parameters": [{"$ref": "#/components/parameters/ref"}]}},
            "/commits/{ref}/status": {"get": {"parameters": [{"$ref": "#/components/parameters/ref"}, size]}},
        },
    });
    modernise(&mut description);
    description
}

/// What the description says of `method path?query` with this body.
fn verdict(method: &str, target: &str, body: Value) -> Result<(), String> {
    let url = url::Url::parse(&format!("https://library.example{target}")).unwrap();
    let request = Recorded {
        method: method.to_owned(),
        path: url.path().to_owned(),
        query: url.query_pairs().into_owned().collect(),
        headers: [].into(),
        body,
    };
    judge(&library(), &request).map(drop)
}

fn refused(method: &str, target: &str, body: Value, why: &str) {
    let said = verdict(method, target, body).unwrap_err();
    assert!(said.contains(why), "{method} {target}: {said}");
}

#[test]
fn allows_what_the_description_lists() {
    for (method, target, body) in [
        ("GET", "/shelves?kind=new&size=100", Value::Null),
        ("POST", "/shelves", json!({"name": "n", "note": null})),
        ("DELETE", "/shelves/7", Value::Null),
        ("POST", "/shelves/7:sort", Value::Null),
    ] {
        assert_eq!(verdict(method, target, body), Ok(()), "{method} {target}");
    }
}

#[test]
fn refuses_an_operation_that_is_not_listed() {
    for (method, target) in [
        ("PATCH", "/shelves"),
        ("GET", "/shelf"),
        ("GET", "/shelves/"),
        ("DELETE", "/shelves/"),
        ("DELETE", "/shelves/7/8"),
        ("POST", "/shelves/7:burn"),
    ] {
        refused(method, target, Value::Null, "no such operation");
    }
}

#[test]
fn refuses_a_wrong_query() {
    refused("GET", "/shelves?kind=new&sized=7", Value::Null, "no query parameter `sized`");
    refused("GET", "/shelves?kind=new&size=many", Value::Null, "query `size`");
    refused("GET", "/shelves?kind=new&size=101", Value::Null, "query `size`");
    refused("GET", "/shelves", Value::Null, "`kind` is missing");
}

#[test]
fn refuses_a_wrong_body() {
    refused("POST", "/shelves", json!({"name": "n", "nam": 1}), "no field `nam`");
    refused("POST", "/shelves", json!({"name": 7}), "at `/name`");
    refused("POST", "/shelves", json!({"note": "n"}), "name");
    refused("POST", "/shelves", Value::Null, "null");
    refused("DELETE", "/shelves/7", json!({"force": true}), "no JSON body");
}

#[test]
fn lets_slashes_stand_where_the_description_marks_it() {
    for target in ["/files/src/main.rs", "/files", "/files/", "/commits/feat/x"] {
        assert_eq!(verdict("GET", target, Value::Null), Ok(()), "{target}");
    }
    assert_eq!(verdict("GET", "/commits/feat/x/status?size=1", Value::Null), Ok(()));
    refused("GET", "/commits", Value::Null, "no such operation");
    refused("GET", "/commits/", Value::Null, "no such operation");
    refused("PUT", "/files/", Value::Null, "no such operation");
}
