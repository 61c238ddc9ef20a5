#include <algorithm>
#include <deque>

#include "bindings/arguments.hpp"
#include "bindings/bindings.hpp"
#include "bindings/devices.hpp"

namespace fastconv::bindings {
namespace {

void require(bool condition, const char* op, const char* sentence) {
  if (!condition) throw py::value_error(std::string(op) + ": " + sentence);
}

std::vector<py::object> read_list(Argument argument, const py::object& list) {
  if (!py::isinstance<py::list>(list) && !py::isinstance<py::tuple>(list))
    throw py::type_error(std::string(argument.operation) + ": " + argument.name +
                         " must be a list of arrays, got " + Py_TYPE(list.ptr())->tp_name);
  std::vector<py::object> items;
  for (const py::handle item : list) items.push_back(py::reinterpret_borrow<py::object>(item));
  return items;
}

// The lists of one update: element i of each belongs to parameter i. All parameters share dtype and device.
class Lists {
 public:
  Lists(const char* op, const py::object& parameters, const py::object& grads)
      : op_(op), parameters_(read_list({op, "parameters"}, parameters)) {
    const auto gradients = list("grads", grads);
    for (size_t i = 0; i < parameters_.size(); ++i) {
      const InPlace& p = parameter(parameters_[i]);
      const Array g = read_floats({op, "grads"}, gradients[i], p.array(), p.view().format);
      check_shape(op, "grads", g.view.shape, p.view().shape);
      grads_.push_back(g);
      updates_.push_back({p.view(), g.view, {}});
    }
  }
  // None: the rule runs without this state.
  void add_state(const char* name, int place, const py::object& states) {
    if (states.is_none()) return;
    const auto arrays = list(name, states);
    for (size_t i = 0; i < arrays.size(); ++i) {
      const InPlace& state = changed_.emplace_back(Argument{op_, name}, arrays[i], changed_[i].array());
      updates_[i].state[place] = state.view();
    }
  }
  template <class Parameters>
  void run(void (*Backend::*entry)(const Parameters&, const Updates&), const Parameters& parameters) {
    if (updates_.empty()) return;
    check_apart();
    const auto update = bindings::operation(op_, updates_.front().parameter.device, entry);
    {
      const WithoutGil unlocked;
      update(parameters, updates_);
    }
    for (const InPlace& array : changed_) array.commit();
  }

 private:
  std::vector<py::object> list(const char* name, const py::object& arrays) const {
    std::vector<py::object> items = read_list({op_, name}, arrays);
    if (items.size() != parameters_.size())
      throw py::value_error(std::string(op_) + ": " + name + " has " + std::to_string(items.size()) +
                            " arrays but parameters has " + std::to_string(parameters_.size()));
    return items;
  }
  const InPlace& parameter(const py::object& array) {
    const InPlace& made = changed_.emplace_back(Argument{op_, "parameters"}, array);
    const View &first = changed_.front().view(), &other = made.view();
    require(other.dtype == first.dtype && other.device.same_place(first.device), op_,
            "parameters must share one dtype and device");
    return made;
  }
  // Nothing that is changed may lie over anything else.
  void check_apart() const {
    struct Piece {
      const Array* array;
      bool changed;
    };
    std::vector<Piece> pieces;
    for (const InPlace& array : changed_) pieces.push_back({&array.array(), true});
    for (const Array& array : grads_) pieces.push_back({&array, false});
    std::sort(pieces.begin(), pieces.end(),
              [](const Piece& a, const Piece& b) { return a.array->begin < b.array->begin; });
    const Piece *reach = nullptr, *changed = nullptr;   // of all before: what ends last; and of those changed
    for (const Piece& piece : pieces) {
      if (changed != nullptr) check_disjoint(*changed->array, *piece.array);
      if (piece.changed && reach != nullptr) check_disjoint(*piece.array, *reach->array);
      if (reach == nullptr || piece.array->end > reach->array->end) reach = &piece;
      if (piece.changed && (changed == nullptr || piece.array->end > changed->array->end)) changed = &piece;
    }
  }

  const char* op_;
  std::vector<py::object> parameters_;
  std::deque<InPlace> changed_;   // the parameters first
  std::vector<Array> grads_;
  Updates updates_;
};

void check_common(const char* op, double lr, double weight_decay) {
  require(lr >= 0, op, "lr must be at least 0");
  require(weight_decay >= 0, op, "weight_decay must be at least 0");
}

void check_betas(const char* op, const std::pair<double, double>& betas, double eps) {
  require(betas.first >= 0 && betas.first < 1 && betas.second >= 0 && betas.second < 1, op,
          "betas must be in [0, 1)");
  require(eps >= 0, op, "eps must be at least 0");
}

int64_t read_step(const char* op, const py::object& step) {
  const int64_t count = parse_int({op, "step"}, step);
  require(count >= 1, op, "step must be at least 1");
  return count;
}

void sgd_update(const py::object& parameters, const py::object& grads, const py::object& momentum_buffers,
                double lr, double momentum, double dampening, double weight_decay, bool nesterov,
                bool first_step) {
  const char* op = "sgd_update";
  check_common(op, lr, weight_decay);
  require(momentum >= 0, op, "momentum must be at least 0");
  require(!nesterov || (momentum > 0 && dampening == 0), op, "nesterov needs momentum above 0 and dampening 0");
  require(momentum == 0 || !momentum_buffers.is_none(), op, "momentum needs momentum_buffers");
  Lists lists(op, parameters, grads);
  if (momentum != 0) lists.add_state("momentum_buffers", 0, momentum_buffers);
  lists.run(&Backend::sgd_update, {lr, momentum, dampening, weight_decay, nesterov, first_step});
}

void adam_update(const py::object& parameters, const py::object& grads, const py::object& exp_avgs,
                 const py::object& exp_avg_sqs, const py::object& max_exp_avg_sqs, const py::object& step,
                 double lr, const std::pair<double, double>& betas, double eps, double weight_decay,
                 bool decoupled) {
  const char* op = "adam_update";
  check_common(op, lr, weight_decay);
  check_betas(op, betas, eps);
  const int64_t count = read_step(op, step);
  Lists lists(op, parameters, grads);
  lists.add_state("exp_avgs", 0, exp_avgs);
  lists.add_state("exp_avg_sqs", 1, exp_avg_sqs);
  lists.add_state("max_exp_avg_sqs", 2, max_exp_avg_sqs);
  lists.run(&Backend::adam_update, {lr, betas.first, betas.second, eps, weight_decay, count, decoupled});
}

void adagrad_update(const py::object& parameters, const py::object& grads, const py::object& state_sums,
                    const py::object& step, double lr, double lr_decay, double eps, double weight_decay) {
  const char* op = "adagrad_update";
  check_common(op, lr, weight_decay);
  require(lr_decay >= 0, op, "lr_decay must be at least 0");
  require(eps >= 0, op, "eps must be at least 0");
  const int64_t count = read_step(op, step);
  Lists lists(op, parameters, grads);
  lists.add_state("state_sums", 0, state_sums);
  lists.run(&Backend::adagrad_update, {lr, lr_decay, eps, weight_decay, count});
}

void adadelta_update(const py::object& parameters, const py::object& grads, const py::object& square_avgs,
                     const py::object& acc_deltas, double lr, double rho, double eps, double weight_decay) {
  const char* op = "adadelta_update";
  check_common(op, lr, weight_decay);
  require(rho >= 0 && rho <= 1, op, "rho must be in [0, 1]");
  require(eps >= 0, op, "eps must be at least 0");
  Lists lists(op, parameters, grads);
  lists.add_state("square_avgs", 0, square_avgs);
  lists.add_state("acc_deltas", 1, acc_deltas);
  lists.run(&Backend::adadelta_update, {lr, rho, eps, weight_decay});
}

void rmsprop_update(const py::object& parameters, const py::object& grads, const py::object& square_avgs,
                    const py::object& grad_avgs, const py::object& momentum_buffers, double lr, double alpha,
                    double eps, double weight_decay, double momentum) {
  const char* op = "rmsprop_update";
  check_common(op, lr, weight_decay);
  require(alpha >= 0 && momentum >= 0, op, "alpha and momentum must be at least 0");
  require(eps >= 0, op, "eps must be at least 0");
  require(momentum == 0 || !momentum_buffers.is_none(), op, "momentum needs momentum_buffers");
  Lists lists(op, parameters, grads);
  lists.add_state("square_avgs", 0, square_avgs);
  lists.add_state("grad_avgs", 1, grad_avgs);
  if (momentum != 0) lists.add_state("momentum_buffers", 2, momentum_buffers);
  lists.run(&Backend::rmsprop_update, {lr, alpha, eps, weight_decay, momentum});
}

void lamb_update(const py::object& parameters, const py::object& grads, const py::object& exp_avgs,
                 const py::object& exp_avg_sqs, const py::object& step, double lr,
                 const std::pair<double, double>& betas, double eps, double weight_decay) {
  const char* op = "lamb_update";
  check_common(op, lr, weight_decay);
  check_betas(op, betas, eps);
  const int64_t count = read_step(op, step);
  Lists lists(op, parameters, grads);
  lists.add_state("exp_avgs", 0, exp_avgs);
  lists.add_state("exp_avg_sqs", 1, exp_avg_sqs);
  lists.run(&Backend::lamb_update, {lr, betas.first, betas.second, eps, weight_decay, count});
}

py::array total_norm(const py::object& arrays) {
  const char* op = "total_norm";
  const std::vector<py::object> items = read_list({op, "arrays"}, arrays);
  require(!items.empty(), op, "arrays is empty");
  std::vector<Array> read;
  std::vector<View> views;
  for (const py::object& item : items) {
    read.push_back(read.empty() ? read_floats({op, "arrays"}, item)
                                : read_floats({op, "arrays"}, item, read.front()));
    views.push_back(read.back().view);
  }
  const Array norm = make_array(read.front(), {});
  const auto run = operation(op, views.front().device, &Backend::total_norm);
  {
    const WithoutGil unlocked;
    run(views, norm.view);
  }
  return to_python(norm);
}

}   // namespace

void bind_optimizer(py::module_& m) {
  const auto parameters = py::arg("parameters"), grads = py::arg("grads"), lr = py::arg("lr"),
             eps = py::arg("eps"), weight_decay = py::arg("weight_decay"), step = py::arg("step"),
             betas = py::arg("betas"), means = py::arg("exp_avgs"), squares = py::arg("exp_avg_sqs");
  m.def("sgd_update", sgd_update, parameters, grads, py::arg("momentum_buffers"), lr, py::arg("momentum"),
        py::arg("dampening"), weight_decay, py::arg("nesterov"), py::arg("first_step"));
  m.def("adam_update", adam_update, parameters, grads, means, squares, py::arg("max_exp_avg_sqs"), step, lr,
        betas, eps, weight_decay, py::arg("decoupled"));
  m.def("adagrad_update", adagrad_update, parameters, grads, py::arg("state_sums"), step, lr,
        py::arg("lr_decay"), eps, weight_decay);
  m.def("adadelta_update", adadelta_update, parameters, grads, py::arg("square_avgs"), py::arg("acc_deltas"),
        lr, py::arg("rho"), eps, weight_decay);
  m.def("rmsprop_update", rmsprop_update, parameters, grads, py::arg("square_avgs"), py::arg("grad_avgs"),
        py::arg("momentum_buffers"), lr, py::arg("alpha"), eps, weight_decay, py::arg("momentum"));
  m.def("lamb_update", lamb_update, parameters, grads, means, squares, step, lr, betas, eps, weight_decay);
  m.def("total_norm", total_norm, py::arg("arrays"));
}

}   // namespace fastconv::bindings
