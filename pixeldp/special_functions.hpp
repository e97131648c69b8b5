#pragma once

#include "kernels/formulas/special_functions.hpp"

namespace pixeldp {

using kernels::binomial_tail_odds;
using kernels::BinomialTail;
using kernels::log_binomial_tail;
using kernels::normal_cdf;
using kernels::normal_quantile_lower;
using kernels::normal_quantile_upper;
using kernels::Odds;

}  // namespace pixeldp
