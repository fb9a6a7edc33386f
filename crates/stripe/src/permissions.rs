//! The rights that the actions need, as Stripe names them for restricted keys and for apps.
//! <https://docs.stripe.com/keys/permissions-reference>

use resto_core::Permission;

/// Any one of these sets.
type Needs = &'static [&'static [&'static str]];

/// The newer name, and the one that Stripe's refusals still use.
pub(crate) const ACCOUNT_READ: Needs = &[&["connected_account_read"], &["accounts_kyc_basic_read"]];
pub(crate) const BALANCE_READ: Needs = &[&["balance_read"]];
pub(crate) const PRODUCT_READ: Needs = &[&["product_read"]];
pub(crate) const PRODUCT_WRITE: Needs = &[&["product_write"]];
/// Stripe calls the right to prices by the name of their predecessor.
pub(crate) const PRICE_READ: Needs = &[&["plan_read"]];
pub(crate) const PRICE_WRITE: Needs = &[&["plan_write"]];
pub(crate) const OFFER_WRITE: Needs = &[&["product_write", "plan_write"]];
pub(crate) const CUSTOMER_READ: Needs = &[&["customer_read"]];
pub(crate) const CUSTOMER_WRITE: Needs = &[&["customer_write"]];
pub(crate) const SUBSCRIPTION_READ: Needs = &[&["subscription_read"]];
pub(crate) const SUBSCRIPTION_WRITE: Needs = &[&["subscription_write"]];
/// The discounts come with the subscriptions.
pub(crate) const METRICS_READ: Needs = &[&["subscription_read", "coupon_read"]];
pub(crate) const PRORATION_READ: Needs = &[&["subscription_read", "invoice_write"]];
/// What it costs is computed before, and the invoice comes with the subscription.
pub(crate) const SUBSCRIPTION_CHANGE: Needs = &[&["subscription_write", "invoice_write"]];
pub(crate) const CHECKOUT_WRITE: Needs = &[&["checkout_session_write"]];
pub(crate) const PAYMENT_LINK_WRITE: Needs = &[&["payment_links_write"]];
pub(crate) const PORTAL_WRITE: Needs = &[&["customer_portal_write"]];
pub(crate) const INVOICE_READ: Needs = &[&["invoice_read"]];
pub(crate) const INVOICE_WRITE: Needs = &[&["invoice_write"]];
pub(crate) const PAYMENT_READ: Needs = &[&["payment_intent_read"]];
pub(crate) const FAILURE_READ: Needs = &[&["payment_intent_read", "charge_read"]];
pub(crate) const REFUND_WRITE: Needs = &[&["charge_write", "payment_intent_read"]];
pub(crate) const COUPON_READ: Needs = &[&["coupon_read"]];
pub(crate) const COUPON_WRITE: Needs = &[&["coupon_write"]];
pub(crate) const DISPUTE_READ: Needs = &[&["dispute_read"]];
pub(crate) const PAYOUT_READ: Needs = &[&["payout_read"]];
pub(crate) const WEBHOOK_WRITE: Needs = &[&["webhook_write"]];

/// Where a person creates a restricted key, with what all actions need filled in.
pub(crate) const CREATE_KEY: &str = concat!(
    "https://dashboard.stripe.com/apikeys/create?name=Resto",
    "&permissions[0]=rak_connected_account_read",
    "&permissions[1]=rak_balance_read",
    "&permissions[2]=rak_product_write",
    "&permissions[3]=rak_plan_write",
    "&permissions[4]=rak_customer_write",
    "&permissions[5]=rak_subscription_write",
    "&permissions[6]=rak_checkout_session_write",
    "&permissions[7]=rak_payment_links_write",
    "&permissions[8]=rak_customer_portal_write",
    "&permissions[9]=rak_invoice_write",
    "&permissions[10]=rak_payment_intent_read",
    "&permissions[11]=rak_charge_write",
    "&permissions[12]=rak_coupon_write",
    "&permissions[13]=rak_dispute_read",
    "&permissions[14]=rak_payout_read",
    "&permissions[15]=rak_webhook_write",
);

/// All of them, for people.
pub(crate) const ALL: &[Permission] = &[
    Permission { id: "connected_account_read", allows: "see whose account it is" },
    Permission {
        id: "accounts_kyc_basic_read",
        allows: "see whose account it is (the older name of that right)",
    },
    Permission { id: "balance_read", allows: "see the balance and every movement on it" },
    Permission { id: "product_read", allows: "see what you sell" },
    Permission { id: "product_write", allows: "add, change and archive what you sell" },
    Permission { id: "plan_read", allows: "see prices" },
    Permission { id: "plan_write", allows: "add prices" },
    Permission { id: "customer_read", allows: "see customers" },
    Permission { id: "customer_write", allows: "add, change and delete customers" },
    Permission { id: "subscription_read", allows: "see subscriptions" },
    Permission { id: "subscription_write", allows: "start, change and cancel subscriptions" },
    Permission { id: "checkout_session_write", allows: "open payment pages" },
    Permission { id: "payment_links_write", allows: "create payment links" },
    Permission {
        id: "customer_portal_write",
        allows: "open the page where a customer manages subscriptions",
    },
    Permission { id: "invoice_read", allows: "see invoices" },
    Permission { id: "invoice_write", allows: "write, send and void invoices" },
    Permission { id: "payment_intent_read", allows: "see payments" },
    Permission { id: "charge_read", allows: "see why a payment failed" },
    Permission { id: "charge_write", allows: "refund payments" },
    Permission { id: "coupon_read", allows: "see coupons" },
    Permission { id: "coupon_write", allows: "create and delete coupons" },
    Permission { id: "dispute_read", allows: "see disputes" },
    Permission { id: "payout_read", allows: "see payouts to your bank" },
    Permission { id: "webhook_write", allows: "have events sent to an address of yours" },
];

#[cfg(test)]
mod tests {
    use resto_core::{covers, least};

    use super::*;
    use crate::adapter;

    #[test]
    fn the_key_page_is_filled_in_with_exactly_what_all_actions_need() {
        let asked: Vec<&str> = CREATE_KEY
            .split('&')
            .filter_map(|pair| pair.split_once("=rak_").map(|(_, right)| right))
            .collect();
        let adapter = adapter();
        let first_sets = adapter.actions().iter().filter_map(|action| action.permissions.first());
        let needed = least(first_sets.flat_map(|set| set.iter().copied()));
        assert_eq!(asked.len(), needed.len(), "{asked:?} {needed:?}");
        assert!(needed.iter().all(|right| asked.contains(right)), "{asked:?} {needed:?}");
        assert!(ALL.iter().all(|known| known.id.starts_with("accounts_")
            || asked.iter().any(|right| covers(right, known.id))));
    }
}
