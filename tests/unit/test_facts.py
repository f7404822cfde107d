"""What is kept of a host's lanes."""

from lanewise.model.facts import Calibration, LaneCost


def test_a_lanes_own_speed_is_kept_where_it_has_one():
    plain, own = LaneCost(1e-5, 1e-6), LaneCost(1e-5, 1e-6, transfer_bytes_per_s=4e9)
    made = Calibration("here", {"process": plain, "interpreter": own})
    written = made.as_dict()
    assert "transfer_bytes_per_s" not in written["lanes"]["process"]
    assert Calibration.from_dict(written) == made
