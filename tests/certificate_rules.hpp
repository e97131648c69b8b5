#pragma once

#include "kernels/bounds.hpp"
#include "pixeldp/certificate.hpp"

namespace pixeldp::tests {

/// A certificate of a mechanism, and what a device is told to make it by.
struct CertificateRule {
  Mechanism mechanism;
  CertificateKind kind;
  kernels::RadiusRule rule;
};

/// All of them.
inline constexpr CertificateRule certificate_rules[] = {
    {Mechanism::gaussian, CertificateKind::pixeldp, kernels::RadiusRule::gaussian},
    {Mechanism::gaussian, CertificateKind::pixeldp_grid, kernels::RadiusRule::gaussian_grid},
    {Mechanism::gaussian, CertificateKind::exact, kernels::RadiusRule::gaussian_exact},
    {Mechanism::laplace, CertificateKind::pixeldp, kernels::RadiusRule::laplace},
    {Mechanism::laplace, CertificateKind::pixeldp_grid, kernels::RadiusRule::laplace},
    {Mechanism::laplace, CertificateKind::exact, kernels::RadiusRule::laplace_exact}};

}  // namespace pixeldp::tests
