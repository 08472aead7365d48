import pickle

from monai.data import MetaTensor, decollate_batch, list_data_collate

from hemorrhage.errors import ScanError, ScanWarning, add_warnings, scan_error_in, warnings_of


def test_an_error_is_one_line_with_code_file_cause_and_remedy():
    error = ScanError("E_AFFINE", "a\nb.nii", "column 2 is zero", "Convert it again.")
    assert str(error) == "error[E_AFFINE] a\ufffdb.nii: column 2 is zero. Convert it again."


def test_an_error_survives_pickling():
    error = pickle.loads(pickle.dumps(ScanError("E_X", "f", "c", "R.", 4)))
    assert (error.code, error.exit_code, str(error)) == ("E_X", 4, "error[E_X] f: c. R.")


def test_the_error_behind_others_is_found():
    outer = RuntimeError("applying transform")
    outer.__cause__ = ScanError("E_X", "f", "c", "R.")
    assert str(scan_error_in(outer)) == "error[E_X] f: c. R."
    assert scan_error_in(ValueError("nothing of ours")) is None


def test_warnings_keep_their_order_and_pass_collation():
    images = [MetaTensor([[1.0]]), MetaTensor([[2.0]])]
    for image, count in zip(images, (1, 3), strict=True):
        add_warnings(image.meta, [ScanWarning("W_TILT", f"number {i}", ("a.dcm",), {"i": i}) for i in range(count)])
    batch = list_data_collate([{"image": i} for i in images])
    back = decollate_batch(batch)
    assert [w.text for w in warnings_of(back[1]["image"].meta)] == ["number 0", "number 1", "number 2"]
    assert warnings_of(back[0]["image"].meta)[0] == ScanWarning("W_TILT", "number 0", ("a.dcm",), {"i": 0})
