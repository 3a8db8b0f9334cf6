// From curvature to the factor of a layer's temperature.
#pragma once

#include <span>
#include <vector>

namespace qtk::hestia_anneal {

/// s_i = sigmoid(kappa (l_i - mean l) / (std l + 1e-8)) with l_i = ln max(trace_i, floor); the
/// standard deviation is the population's. Equal traces give 0.5.
/// @param floor  above 0
std::vector<double> trace_scores(std::span<const double> traces, double kappa, double floor);

/// The temperature at which the soft ternary quantizer is closest to the identity for normal
/// weights with mean |z| = 1: argmin over [0.1, 2] of distance_to_identity(). 0.350885259.
double closest_to_identity_temperature();

/// E (mu_T(z) - z)^2 for z ~ N(0, pi / 2), over |z| <= 10.
double distance_to_identity(double temperature);

}  // namespace qtk::hestia_anneal
