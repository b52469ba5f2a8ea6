"""A small decoder in Keras, saved as files that a tconv server takes. Needs Keras 3.

    keras_decoder.py [FOLDER]
"""

import pathlib
import sys

import keras
import numpy as np

folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")

decoder = keras.Sequential([
    keras.Input((3, 3, 4)),
    keras.layers.Conv2DTranspose(6, 3, strides=2, padding="same"),
    keras.layers.Conv2DTranspose(3, 4, strides=2, padding="same", activation="tanh"),
])
# ... train it ...
decoder.save(folder / "model.keras")

x = np.random.default_rng(0).standard_normal((2, 3, 3, 4)).astype("float32")
np.save(folder / "input_0.npy", x)
np.save(folder / "output_0.npy", decoder.predict(x, verbose=0))
