# tconv_warnings carries the compile options of every target of this project;
# generated code does not link it.
add_library(tconv_warnings INTERFACE)
target_compile_options(tconv_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Woverloaded-virtual
  $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety>)

# Sanitizers have to see every translation unit, generated ones included.
if(TCONV_SANITIZE)
  if(TCONV_SANITIZE MATCHES thread)
    # With this macro protobuf's headers lay out map fields in another way than
    # the installed library, which was built without it.
    add_compile_options(-U__SANITIZE_THREAD__)
  endif()
  add_compile_options(-fsanitize=${TCONV_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${TCONV_SANITIZE})
endif()
