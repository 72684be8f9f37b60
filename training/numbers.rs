//! e^x and the natural logarithm by their series: the same bits on every machine, which the system's own need not give.

/// e^x for x from -700 to 700.
pub fn exp(x: f64) -> f64 {
    let x = x.clamp(-700.0, 700.0);
    let power = (x / std::f64::consts::LN_2).round();
    let rest = x - power * std::f64::consts::LN_2;
    let mut term = 1.0;
    let mut sum = 1.0;
    for at in 1..14 {
        term *= rest / f64::from(at);
        sum += term;
    }
    sum * f64::from_bits(((1023 + power as i64) as u64) << 52)
}

/// ln(1 + e^x), without overflow.
pub fn softplus(x: f64) -> f64 {
    if x > 0.0 { x + ln_1p(exp(-x)) } else { ln_1p(exp(x)) }
}

pub fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + exp(-x))
}

/// ln(1 + y) for y from 0 to 1, by the series of the inverse hyperbolic tangent.
fn ln_1p(y: f64) -> f64 {
    let ratio = y / (2.0 + y);
    let square = ratio * ratio;
    let mut power = ratio;
    let mut sum = 0.0;
    for odd in 0..18 {
        sum += power / f64::from(2 * odd + 1);
        power *= square;
    }
    2.0 * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_series_agree_with_the_system() {
        for x in [-600.0_f64, -20.0, -1.0, -1e-9, 0.0, 0.3, 1.0, 5.0, 50.0] {
            assert!((exp(x) - x.exp()).abs() <= 1e-12 * x.exp(), "{x}");
            assert!((softplus(x) - x.exp().ln_1p()).abs() < 1e-9, "{x}");
        }
        assert!((logistic(0.0) - 0.5).abs() < 1e-12);
    }
}
