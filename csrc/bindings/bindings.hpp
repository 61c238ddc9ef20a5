// One function a family, each in the file of its name.
#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/typing.h>

namespace fastconv::bindings {

void bind_devices(pybind11::module_& m);
void bind_problems(pybind11::module_& m);
void bind_conv(pybind11::module_& m);
void bind_conv_pool(pybind11::module_& m);
void bind_conv_transpose(pybind11::module_& m);
void bind_average_pool(pybind11::module_& m);
void bind_pool(pybind11::module_& m);
void bind_linear(pybind11::module_& m);
void bind_activation(pybind11::module_& m);
void bind_loss(pybind11::module_& m);
void bind_norm(pybind11::module_& m);
void bind_group_norm(pybind11::module_& m);
void bind_local_response_norm(pybind11::module_& m);
void bind_dropout(pybind11::module_& m);
void bind_optimizer(pybind11::module_& m);
void bind_probe(pybind11::module_& m);

}   // namespace fastconv::bindings
