//! What a business does about a payment that failed, by Stripe's decline and error codes.
//! <https://docs.stripe.com/declines/codes>

/// The advice for a code; general advice for one that is not known here.
pub(crate) fn advice(code: &str) -> &'static str {
    match code {
        "insufficient_funds" | "withdrawal_count_limit_exceeded" | "card_velocity_exceeded" => {
            "The customer pays with another card or tries again in some days."
        }
        "expired_card" => "The customer pays with a card that has not expired.",
        "incorrect_cvc"
        | "invalid_cvc"
        | "incorrect_number"
        | "invalid_number"
        | "invalid_expiry_month"
        | "invalid_expiry_year"
        | "incorrect_zip"
        | "incorrect_address" => "The customer enters the details of the card again.",
        "authentication_required"
        | "payment_intent_authentication_failure"
        | "authentication_not_handled"
        | "online_or_offline_pin_required" => {
            "The customer has to confirm the payment at the bank: send a link where the customer pays it in person."
        }
        "approve_with_id"
        | "issuer_not_available"
        | "processing_error"
        | "reenter_transaction"
        | "try_again_later" => "Try the same payment once more, later.",
        "card_not_supported"
        | "currency_not_supported"
        | "invalid_amount"
        | "service_not_allowed"
        | "transaction_not_allowed" => {
            "The card cannot be used for this payment: the customer asks the bank or pays in another way."
        }
        "duplicate_transaction" => {
            "The same amount was taken from this card a moment ago: look whether it is paid already."
        }
        "fraudulent" | "highest_risk_level" | "merchant_blacklist" | "blocked" => {
            "Stripe thinks it is fraud and blocked it. Do not try again; if the customer is known, a person reviews it in the dashboard. Do not tell the customer why."
        }
        "lost_card" | "stolen_card" | "pickup_card" | "restricted_card" => {
            "The bank reports the card lost or blocked. Do not try it again; the customer pays in another way and asks the bank."
        }
        "do_not_honor"
        | "call_issuer"
        | "generic_decline"
        | "no_action_taken"
        | "not_permitted"
        | "revocation_of_authorization"
        | "revocation_of_all_authorizations"
        | "security_violation"
        | "stop_payment_order"
        | "card_declined" => {
            "The bank gives no further reason: the customer asks the bank or pays in another way."
        }
        "testmode_decline" | "live_mode_test_card" => {
            "A test card cannot pay for real: use a real card in live mode and a test card in test mode."
        }
        _ => "The customer tries another way to pay.",
    }
}
