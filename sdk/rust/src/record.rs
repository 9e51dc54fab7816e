/// A struct that is read from objects and written as one.
///
/// ```
/// isolet::record! {
///     #[derive(Debug, PartialEq)]
///     pub struct Order {
///         id: u64,
///         note: Option<String>,
///         quantity: i64 = 1,
///         customer_name as "customerName": String,
///     }
/// }
/// let order: Order = isolet::decode(&isolet::encode(&isolet::map! { "id" => 7, "customerName" => "Ada" })).unwrap();
/// assert_eq!(order, Order { id: 7, note: None, quantity: 1, customer_name: "Ada".into() });
/// ```
///
/// A key is the field's name, or what `as` says. One that is not there is the default behind `=`, None for an `Option`, nil for
/// a `Value`, and otherwise an error that names it. Keys that no field has are stepped over; of twin keys the first counts.
#[macro_export]
macro_rules! record {
    (
        $(#[$attribute:meta])*
        $visible:vis struct $name:ident {
            $($(#[$field_attribute:meta])* $field_visible:vis $field:ident $(as $key:literal)? : $kind:ty $(= $default:expr)?),*
            $(,)?
        }
    ) => {
        $(#[$attribute])*
        $visible struct $name {
            $($(#[$field_attribute])* $field_visible $field: $kind),*
        }

        impl $crate::Decode for $name {
            fn decode(from: &mut $crate::Reader<'_>) -> ::std::result::Result<Self, $crate::DecodeError> {
                $(let mut $field: ::std::option::Option<$kind> = ::std::option::Option::None;)*
                $crate::rt::fields(from, ::std::stringify!($name), |name, from| {
                    $(
                        if name == $crate::record!(@key $field $($key)?) && $field.is_none() {
                            $field = ::std::option::Option::Some(
                                <$kind as $crate::Decode>::decode(from).map_err(|error| error.within(name))?,
                            );
                            return ::std::result::Result::Ok(());
                        }
                    )*
                    from.skip()
                })?;
                ::std::result::Result::Ok($name {
                    $($field: match $field {
                        ::std::option::Option::Some(value) => value,
                        ::std::option::Option::None => $crate::record!(@absent $crate::record!(@key $field $($key)?), $kind $(, $default)?),
                    }),*
                })
            }
        }

        impl $crate::Encode for $name {
            fn encode(&self, to: &mut $crate::Writer) {
                to.map(0 $(+ { let _ = &self.$field; 1 })*);
                $(to.pair($crate::record!(@key $field $($key)?), &self.$field);)*
            }
        }
    };
    (@key $field:ident) => { ::std::stringify!($field) };
    (@key $field:ident $key:literal) => { $key };
    (@absent $key:expr, $kind:ty) => { $crate::rt::absent::<$kind>($key)? };
    (@absent $key:expr, $kind:ty, $default:expr) => { $default };
}

#[cfg(test)]
mod tests {
    use crate::{decode, encode, map, Value};

    record! {
        #[derive(Debug, PartialEq)]
        struct Point {
            x: i64,
            y: i64 = 7,
            label: Option<String>,
            extra: Value,
            is_last as "isLast": bool = false,
        }
    }

    #[test]
    fn a_record_is_read_and_written() {
        let point: Point = decode(&encode(&map! { "isLast" => true, "z" => 1, "x" => 3 })).unwrap();
        assert_eq!(point, Point { x: 3, y: 7, label: None, extra: Value::Nil, is_last: true });
        let written: Value = decode(&encode(&point)).unwrap();
        assert_eq!(written["isLast"], Value::Bool(true));
        assert_eq!(written["label"], Value::Nil);
    }

    #[test]
    fn what_is_missing_or_does_not_fit_is_named() {
        let error = decode::<Point>(&encode(&map! {})).unwrap_err();
        assert_eq!(error.to_string(), "x: it is missing");
        let error = decode::<Vec<Point>>(&encode(&[map! { "x" => 1, "isLast" => 1 }])).unwrap_err();
        assert_eq!(error.to_string(), "[0].isLast: an integer does not fit a boolean");
        let error = decode::<Point>(&encode("text")).unwrap_err();
        assert_eq!(error.to_string(), "a string does not fit a Point");
    }
}
