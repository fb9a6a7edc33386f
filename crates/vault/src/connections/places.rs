//! Connections of any tenants, looked up together.

use std::collections::HashMap;

use sqlx::{FromRow, Row as _};

use super::{Connection, Row};
use crate::{Error, Result, TenantId, Vault, database::on};

/// A tenant and an integration.
pub(crate) type Place = (TenantId, String);

impl Vault {
    /// The connections of these places, in one round trip. One whose row cannot be read keeps nobody from the others.
    pub(super) async fn connections_at(
        &self,
        places: Vec<Place>,
    ) -> Result<HashMap<Place, Result<Connection>>> {
        let asked: Vec<_> = places.iter().map(|(tenant, id)| (tenant.0.simple(), id)).collect();
        let asked = serde_json::to_string(&asked).map_err(|_| Error::CannotOpen)?;
        let mut tx = self.inner.database.look().await?;
        let text = tx.text(
            select!(
                "(SELECT unhex(value ->> 0) AS tenant, value ->> 1 AS integration FROM json_each($1))
                 CROSS JOIN integration_credentials WHERE tenant_id = tenant AND integration_id = integration"
            ),
            select!(
                "json_array_elements($1::JSON) AS asked(place),
                 LATERAL connections_of((place ->> 0)::UUID, place ->> 1)"
            ),
        );
        let placed: sqlx::Result<Vec<_>> = on!(&mut tx, c => {
            let rows = sqlx::query(text).bind(&asked).fetch_all(c).await?;
            rows.iter().map(|row| {
                let place = (TenantId(row.try_get("tenant_id")?), row.try_get("integration_id")?);
                Ok((place, Row::from_row(row)))
            }).collect()
        });
        let read = |row: sqlx::Result<Row>| Connection::from_row(row?);
        Ok(placed?.into_iter().map(|(place, row)| (place, read(row))).collect())
    }
}
