// The seam between oneDNN 2 and 3: the one file that looks at the version.
#pragma once

#include <utility>

#include <oneapi/dnnl/dnnl.hpp>

namespace tconv::server {

// The descriptor of a primitive. `arguments` are those of oneDNN's operation,
// from the propagation kind to the padding. Throws dnnl::error.
template <typename Primitive, typename... Arguments>
typename Primitive::primitive_desc MakePrimitiveDesc(const dnnl::engine& engine,
                                                     const dnnl::primitive_attr& attributes,
                                                     Arguments&&... arguments) {
#if DNNL_VERSION_MAJOR >= 3
  return
      typename Primitive::primitive_desc(engine, std::forward<Arguments>(arguments)..., attributes);
#else
  return typename Primitive::primitive_desc(
      typename Primitive::desc(std::forward<Arguments>(arguments)...), attributes, engine);
#endif
}

// The same for a primitive of the way back, of which `forward` is the way forward.
template <typename Primitive, typename ForwardDesc, typename... Arguments>
typename Primitive::primitive_desc MakeBackwardPrimitiveDesc(const dnnl::engine& engine,
                                                             const dnnl::primitive_attr& attributes,
                                                             const ForwardDesc& forward,
                                                             Arguments&&... arguments) {
#if DNNL_VERSION_MAJOR >= 3
  return typename Primitive::primitive_desc(engine, std::forward<Arguments>(arguments)..., forward,
                                            attributes);
#else
  return typename Primitive::primitive_desc(
      typename Primitive::desc(std::forward<Arguments>(arguments)...), attributes, engine, forward);
#endif
}

// Lets a primitive end with a ReLU.
inline void AppendRelu(dnnl::primitive_attr& attributes) {
  dnnl::post_ops operations;
#if DNNL_VERSION_MAJOR >= 3
  operations.append_eltwise(dnnl::algorithm::eltwise_relu, 0.0f, 0.0f);
#else
  operations.append_eltwise(1.0f, dnnl::algorithm::eltwise_relu, 0.0f, 0.0f);
#endif
  attributes.set_post_ops(operations);
}

}  // namespace tconv::server
